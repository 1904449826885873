//! Membership: members are added, promoted and removed while all else goes on.

use std::sync::Arc;

use mainstay_proto::etcdserverpb::Member;
use mainstay_raft::{Error, InitialMember};
use parking_lot::Mutex;

use super::course::World;
use crate::host::{Host, peer_url};
use crate::trace::say;

/// Hosts a run may have in all.
const HOSTS_MAX: usize = 7;

#[derive(Debug)]
pub(super) enum Changed {
    Added(usize, Member, Vec<Member>),
    Removed(u64),
}

/// Results of changes that were asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    done: Arc<Mutex<Vec<Result<Changed, Error>>>>,
    /// Hosts that were promised to an addition under way.
    pub(super) planned: usize,
}

impl World {
    pub(super) fn change_members(&mut self) {
        let asked = self.rng.index(self.hosts.len());
        let draw = self.rng.below(4);
        let learner = self.rng.one_in(2);
        let victim = self.rng.index(self.hosts.len());
        let Some(process) = &self.hosts[asked].process else {
            return;
        };
        let Some(node) = process.node.clone() else {
            return;
        };
        let done = Arc::clone(&self.changes.done);
        let planned = self.hosts.len() + self.changes.planned;
        match draw {
            0 | 1 if planned < HOSTS_MAX && self.changes.planned == 0 => {
                say!(
                    self.trace,
                    "m{asked} is asked to add m{planned} (learner: {learner})"
                );
                self.changes.planned += 1;
                process.runtime.spawn(async move {
                    let result = node.member_add(vec![peer_url(planned)], learner).await;
                    let result = result.map(|(member, all)| Changed::Added(planned, member, all));
                    done.lock().push(result);
                });
            }
            2 => {
                let id = self.hosts[victim].id;
                say!(self.trace, "m{asked} is asked to promote m{victim}");
                process.runtime.spawn(async move {
                    // Refusals are part of it.
                    let _ = node.member_promote(id).await;
                });
            }
            _ => {
                let id = self.hosts[victim].id;
                let running = self.hosts.iter().filter(|h| !self.retired[h.index]).count();
                if running <= 3 {
                    return;
                }
                say!(self.trace, "m{asked} is asked to remove m{victim}");
                process.runtime.spawn(async move {
                    let result = node.member_remove(id).await.map(|_| Changed::Removed(id));
                    done.lock().push(result);
                });
            }
        }
    }

    pub(super) fn members_changed(&mut self) {
        let done = std::mem::take(&mut *self.changes.done.lock());
        for result in done {
            match result {
                Ok(Changed::Added(index, member, all)) => {
                    self.changes.planned = 0;
                    self.counts.one("members_added");
                    self.add_host(index, &member, &all);
                }
                Ok(Changed::Removed(id)) => {
                    self.counts.one("members_removed");
                    say!(self.trace, "{id:x} is removed");
                    if let Some(host) = self.hosts.iter().position(|h| h.id == id) {
                        self.retired[host] = true;
                        self.retire_at = Some(self.now + 5_000_000);
                    }
                }
                Err(e) => {
                    self.changes.planned = 0;
                    say!(self.trace, "a change of members failed: {e}");
                }
            }
        }
        // Those that were removed and could not hear of it are switched off.
        if self.retire_at.is_some_and(|at| at <= self.now) {
            self.retire_at = None;
            for host in 0..self.hosts.len() {
                if self.retired[host] && self.hosts[host].is_running() {
                    self.hosts[host].kill(mainstay_wal::disk::Crash::Process);
                }
            }
        }
    }

    fn add_host(&mut self, index: usize, member: &Member, all: &[Member]) {
        if index != self.hosts.len() {
            return;
        }
        let mut host = Host::new(
            index,
            member.id,
            self.net.clone(),
            &mut self.rng,
            &self.params,
        );
        host.joining = true;
        host.members = all
            .iter()
            .map(|m| InitialMember {
                id: m.id,
                name: m.name.clone(),
                peer_urls: m.peer_urls.clone(),
            })
            .collect();
        self.hosts.push(host);
        self.restart_at.push(self.now);
        self.excused.push(false);
        self.retired.push(false);
    }
}
