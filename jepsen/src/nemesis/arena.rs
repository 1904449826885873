//! What a nemesis acts on.

use crate::client::Shared;
use crate::cluster::Cluster;
use crate::tower::Tower;
use mainstay_faults::fabric::Reading;
use mainstay_faults::files::FileKind;
use mainstay_faults::{Error, Proof};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The cluster, and what a nemesis may know of it.
#[derive(Debug)]
pub struct Arena {
    /// The processes.
    pub cluster: Cluster,
    /// Who leads.
    pub tower: Arc<Tower>,
    /// What clients share: for nemeses that act through the protocol.
    pub shared: Arc<Shared>,
    /// Chance, from the run's seed.
    pub rng: StdRng,
    /// Where asynchronous work is done.
    pub runtime: Handle,
    /// Kinds of files that were damaged so far.
    pub injured: Vec<FileKind>,
}

/// How a strike is undone.
#[derive(Debug)]
pub(super) enum Undo {
    /// It is over already.
    Nothing,
    /// These members are started again.
    Start(Vec<usize>),
    /// These members go on.
    Resume(Vec<usize>),
    /// The partition is lifted; what was blocked until it began.
    Reconnect(Reading),
    /// No packets are lost any more.
    Unlose(Reading),
    /// Links are as fast as they were.
    Unshape(Reading),
    /// Power is back, and these members are started again.
    PowerOn(Vec<usize>),
    /// The disk of this member is fast again.
    FullSpeed(usize),
    /// The disk of this member answers again.
    GoOn(usize),
    /// This member gets a working disk with what was on the broken one.
    Revive(usize),
    /// The disk of this member has room again.
    Release(usize),
    /// The clocks of these members are right again.
    RightTime(Vec<usize>),
    /// The task is told to end.
    EndTask(JoinHandle<u64>, tokio::sync::oneshot::Sender<()>),
}

/// A strike that acted, or that found nothing to act on.
#[derive(Debug)]
pub(super) struct Struck {
    pub(super) targets: Vec<String>,
    pub(super) proof: Proof,
    pub(super) undo: Undo,
}

impl Arena {
    /// The leader, or some running member when nobody knows of one.
    pub(super) fn leader_or_any(&mut self) -> Option<usize> {
        let running = self.cluster.running();
        match self.tower.leader() {
            Some(leader) if running.contains(&leader) => Some(leader),
            _ => self.any(&running),
        }
    }

    /// One of these.
    pub(super) fn any(&mut self, of: &[usize]) -> Option<usize> {
        (!of.is_empty()).then(|| of[self.rng.random_range(0..of.len())])
    }

    /// All members in a random order.
    pub(super) fn shuffled(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.cluster.len()).collect();
        order.shuffle(&mut self.rng);
        order
    }

    /// Running members, at most a minority of the cluster and at least one.
    pub(super) fn minority(&mut self) -> Vec<usize> {
        let mut running = self.cluster.running();
        running.shuffle(&mut self.rng);
        let most = (self.cluster.len().saturating_sub(1) / 2).max(1);
        let count = self.rng.random_range(1..=most);
        running.truncate(count);
        running
    }
}

/// Names for the record of a fault.
pub(super) fn names(members: &[usize]) -> Vec<String> {
    members.iter().map(|member| format!("m{member}")).collect()
}

/// A strike that found nothing to act on.
pub(super) fn nothing(why: &str) -> Struck {
    Struck {
        targets: Vec::new(),
        proof: Proof::when(false, why),
        undo: Undo::Nothing,
    }
}

/// One proof of several, each of which may fail to be had.
pub(super) fn all(proofs: impl IntoIterator<Item = Result<Proof, Error>>) -> Result<Proof, Error> {
    Ok(Proof::all(
        proofs.into_iter().collect::<Result<Vec<_>, _>>()?,
    ))
}
