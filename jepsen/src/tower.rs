//! Who leads, who answers: a look at every member's status several times a second, for the nemesis and for the
//! progress line. It sees what clients could see, and only that.

use crate::client::Clock;
use crate::limits::{PROBE_DEADLINE, STATUS_INTERVAL};
use mainstay_proto::etcdserverpb::StatusRequest;
use mainstay_tests::Raw;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A leader and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reign {
    /// Nanoseconds since the start of the run.
    pub from: u64,
    /// The leader.
    pub member: usize,
    /// Its Raft term.
    pub term: u64,
}

/// What the members say of themselves.
#[derive(Debug)]
pub struct Tower {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// For each member: id, the leader it names, term; `None` while it does not answer.
    members: Vec<Option<(u64, u64, u64)>>,
    reigns: Vec<Reign>,
}

/// The tasks that look; they end when this is dropped.
#[derive(Debug)]
pub struct Watchmen(Vec<JoinHandle<()>>);

impl Tower {
    /// Starts looking at the members.
    pub fn start(urls: &[String], clock: Clock) -> (Arc<Self>, Watchmen) {
        let state = State {
            members: vec![None; urls.len()],
            reigns: Vec::new(),
        };
        let tower = Arc::new(Self {
            state: Mutex::new(state),
        });
        let watchmen = urls.iter().enumerate().map(|(member, url)| {
            let raw = Raw::connect(url, None).with_deadline(PROBE_DEADLINE);
            tokio::spawn(look(tower.clone(), member, raw, clock))
        });
        let watchmen = Watchmen(watchmen.collect());
        (tower, watchmen)
    }

    /// The member that says of itself that it leads, in the highest term.
    pub fn leader(&self) -> Option<usize> {
        leader(&self.state()).map(|(member, _)| member)
    }

    /// The members that answer.
    pub fn answering(&self) -> Vec<usize> {
        let state = self.state();
        let answering =
            |(member, status): (usize, &Option<_>)| status.map(|_: (u64, u64, u64)| member);
        state
            .members
            .iter()
            .enumerate()
            .filter_map(answering)
            .collect()
    }

    /// All leaders so far.
    pub fn reigns(&self) -> Vec<Reign> {
        self.state().reigns.clone()
    }

    fn tell(&self, member: usize, status: Option<(u64, u64, u64)>, now: u64) {
        let mut state = self.state();
        state.members[member] = status;
        let Some((member, term)) = leader(&state) else {
            return;
        };
        let newest = state.reigns.last();
        // A deposed leader that has not heard of it yet is no new one.
        if newest
            .is_none_or(|reign| (reign.member, reign.term) != (member, term) && reign.term < term)
        {
            state.reigns.push(Reign {
                from: now,
                member,
                term,
            });
        }
    }

    /// No code panics while it holds this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn leader(state: &State) -> Option<(usize, u64)> {
    let leads = |(member, status): (usize, &Option<(u64, u64, u64)>)| match status {
        Some((id, leader, term)) if id == leader => Some((member, *term)),
        _ => None,
    };
    state
        .members
        .iter()
        .enumerate()
        .filter_map(leads)
        .max_by_key(|(_, term)| *term)
}

async fn look(tower: Arc<Tower>, member: usize, raw: Raw, clock: Clock) {
    loop {
        let status = raw.status(StatusRequest {}).await.ok().and_then(|status| {
            let id = status.header.as_ref()?.member_id;
            Some((id, status.leader, status.raft_term))
        });
        tower.tell(member, status, clock.now());
        sleep(STATUS_INTERVAL).await;
    }
}

impl Drop for Watchmen {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use super::{State, Tower};
    use std::sync::Mutex;

    #[test]
    fn a_leader_is_counted_once_and_the_highest_term_wins() {
        let state = State {
            members: vec![None; 3],
            reigns: Vec::new(),
        };
        let tower = Tower {
            state: Mutex::new(state),
        };
        tower.tell(0, Some((10, 10, 1)), 1);
        tower.tell(1, Some((11, 10, 1)), 2);
        assert_eq!(tower.leader(), Some(0));
        tower.tell(1, Some((11, 11, 2)), 3);
        // The old one still believes that it leads.
        tower.tell(0, Some((10, 10, 1)), 4);
        assert_eq!(tower.leader(), Some(1));
        tower.tell(0, None, 5);
        assert_eq!(tower.answering(), [1]);
        let reigns: Vec<_> = tower.reigns().iter().map(|r| (r.member, r.term)).collect();
        assert_eq!(reigns, [(0, 1), (1, 2)]);
    }
}
