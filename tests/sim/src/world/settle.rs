//! The last phase: no more faults, and everything must come right.

use bytes::Bytes;
use mainstay_proto::etcdserverpb::{PutRequest, RangeRequest};
use mainstay_wal::disk::Crash;

use super::course::World;
use super::ops::Op;
use crate::host::{Host, SimNode};
use crate::limits::LIVENESS_LIMIT_US;
use crate::oracle::{Checked, violated};
use crate::trace::say;

impl World {
    pub(super) fn settle(&mut self, panicked: &mut dyn FnMut() -> bool) -> Checked {
        self.heal();
        self.clients.stopped = true;
        for host in 0..self.hosts.len() {
            self.restart_at[host] = self.now + self.rng.below(1_000_000);
        }
        self.leave_one_dead();
        say!(self.trace, "no more faults; stays down: {:?}", self.dead);
        let deadline = self.now + LIVENESS_LIMIT_US;
        while let Err(reason) = self.converged()? {
            if self.now >= deadline {
                self.describe();
                violated!(
                    "not converged within {} s: {reason}",
                    LIVENESS_LIMIT_US / 1_000_000
                );
            }
            self.probe_all();
            self.step(false)?;
            if panicked() {
                return Ok(());
            }
        }
        say!(self.trace, "converged");
        Ok(())
    }

    /// What each member believes.
    fn describe(&self) {
        for host in &self.hosts {
            let (index, retired) = (host.index, self.retired[host.index]);
            let Some(node) = host.node() else {
                let starting = host.is_running();
                say!(
                    self.trace,
                    "m{index}: no member (starting: {starting}, removed: {retired})"
                );
                continue;
            };
            let (look, log) = (node.look(), node.wal().state());
            let unsynced = node.wal().oldest_unsynced();
            say!(
                self.trace,
                "m{index} {:x} (removed: {retired}): {look:x?}, log {:?}..{}, waits {unsynced:?}, knows {:?}",
                host.id,
                log.first_index,
                log.next_index,
                node.leader()
            );
        }
    }

    /// A healthy majority is enough.
    fn leave_one_dead(&mut self) {
        let host = self.rng.index(self.hosts.len());
        let enough = self.hosts.len() >= 3 && !self.params.membership;
        if self.dead.is_none() && enough && self.rng.one_in(3) {
            self.hosts[host].kill(Crash::Process);
            self.dead = Some(host);
            self.counts.one("minority_stays_dead");
        }
    }

    fn expected(&self) -> impl Iterator<Item = &Host> {
        let expected = |host: &&Host| !self.retired[host.index] && self.dead != Some(host.index);
        self.hosts.iter().filter(expected)
    }

    fn done(&self) -> u64 {
        self.counts.0.get("calls_done").copied().unwrap_or(0)
    }

    /// Writes on every member, again and again until all succeed.
    fn probe_all(&mut self) {
        if self.probed || !self.clients.idle() {
            return;
        }
        if let Some((sent, before)) = self.probing.take() {
            self.probed = sent > 0 && self.done() == before + sent;
        }
        let hosts: Vec<usize> = self.expected().map(|host| host.index).collect();
        let serving = hosts.iter().filter(|h| self.hosts[**h].node().is_some());
        if self.probed || serving.count() < hosts.len() {
            return;
        }
        let before = self.done();
        for host in &hosts {
            let put = PutRequest {
                key: Bytes::from_static(b"k00"),
                value: Bytes::from(format!("probe at {host}, {}", self.now)),
                ..PutRequest::default()
            };
            self.probe(*host, Op::Put(put));
        }
        self.probing = Some((hosts.len() as u64, before));
    }

    /// The inner error says what is missing.
    fn converged(&self) -> Result<Result<(), String>, crate::oracle::Violation> {
        let missing = |what: String| Ok(Err(what));
        let mut leaders = Vec::new();
        for host in self.expected() {
            let Some(node) = host.node() else {
                return missing(format!("m{} does not serve", host.index));
            };
            let Some(leader) = node.leader().leader else {
                return missing(format!("m{} knows no leader", host.index));
            };
            leaders.push(leader);
        }
        leaders.dedup();
        if leaders.len() > 1 {
            return missing(format!("they name different leaders: {leaders:x?}"));
        }
        if !self.probed {
            return missing("writes on every member".into());
        }
        let mut hashes = Vec::new();
        for host in self.expected() {
            let Some(node) = host.node() else { continue };
            let applied = node.look().applied + 1;
            if applied != self.log.committed() {
                let committed = self.log.committed();
                return missing(format!("m{} applied {applied} of {committed}", host.index));
            }
            self.holds_all(host.index, node)?;
            match node.reader().hash_kv(0) {
                Ok(h) => hashes.push((h.revision, h.compact_revision, h.hash)),
                Err(e) => violated!("m{} cannot hash what it holds: {e}", host.index),
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.len() > 1 {
            violated!("members hold different data: {hashes:?}");
        }
        if !self.watches_complete() {
            return missing("watchers wait for events".into());
        }
        let living = self.leases.living();
        if !living.is_empty() {
            return missing(format!("leases {living:?} have not expired"));
        }
        Ok(Ok(()))
    }

    /// A member's data is what the committed log says.
    fn holds_all(&self, index: usize, node: &SimNode) -> Checked {
        let all = RangeRequest {
            key: Bytes::from_static(&[0]),
            range_end: Bytes::from_static(&[0]),
            ..RangeRequest::default()
        };
        let response = match node.reader().range(&all) {
            Ok(response) => response,
            Err(e) => violated!("m{index} cannot read: {e}"),
        };
        let right = self.model.live(i64::MAX, &[0], &[0]);
        if response.kvs != right {
            violated!("m{index} holds {:?}, right is {right:?}", response.kvs);
        }
        Ok(())
    }
}
