//! Who dies, and when.

use super::report::Report;
use super::writer::Writers;
use crate::cluster::Cluster;
use crate::limits::CONVERGE_DEADLINE;
use crate::wait::wait_until;
use rand::Rng;
use rand::rngs::StdRng;
use std::time::Instant;

/// Acknowledged writes before the kill, and between the kill and the restart.
const WRITES_AROUND_KILL: std::ops::Range<u64> = 30..300;

/// The members killed in a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Victims {
    Leader(usize),
    Follower(usize),
    All,
}

impl Victims {
    /// Of ten rounds: five leaders, four followers, once everybody.
    pub(super) async fn choose(round: u32, cluster: &mut Cluster, rng: &mut StdRng) -> Self {
        let leader = cluster.leader().await;
        if round % 10 == 9 {
            Self::All
        } else if round.is_multiple_of(2) {
            Self::Leader(leader)
        } else {
            let distance = rng.random_range(1..cluster.len());
            Self::Follower((leader + distance) % cluster.len())
        }
    }

    fn indexes(&self, cluster: &Cluster) -> Vec<usize> {
        match *self {
            Self::Leader(index) | Self::Follower(index) => vec![index],
            Self::All => (0..cluster.len()).collect(),
        }
    }
}

/// Kills the victims at a random moment of the load and brings them back.
pub(super) async fn strike(
    victims: &Victims,
    cluster: &mut Cluster,
    writers: &Writers,
    rng: &mut StdRng,
    report: &mut Report,
) {
    acknowledged_more(writers, rng.random_range(WRITES_AROUND_KILL)).await;
    cluster.kill_together(&victims.indexes(cluster));
    let killed = Instant::now();
    match victims {
        Victims::All => report.total_kills += 1,
        Victims::Follower(_) => {
            if rng.random_bool(0.5) {
                acknowledged_more(writers, rng.random_range(WRITES_AROUND_KILL)).await;
            }
        }
        Victims::Leader(_) => {
            report.leader_kills += 1;
            if rng.random_bool(0.7) {
                // Twice the writers: an answer of the dead leader may still have been on its way.
                acknowledged_more(writers, 2 * writers.len() as u64).await;
                report.failover_max = report.failover_max.max(killed.elapsed());
                acknowledged_more(writers, rng.random_range(WRITES_AROUND_KILL)).await;
            }
        }
    }
    cluster.start_all().await;
}

async fn acknowledged_more(writers: &Writers, more: u64) {
    let target = writers.acknowledged() + more;
    wait_until("writes are acknowledged", CONVERGE_DEADLINE, async || {
        (writers.acknowledged() >= target).then_some(())
    })
    .await;
}
