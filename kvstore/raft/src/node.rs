//! A member of the cluster, as the server uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mainstay_engine::Engine;
use mainstay_proto::etcdserverpb::Member;
use mainstay_wal::Wal;
use mainstay_watch::Hub;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::env::Env;
use crate::error::{Error, StopReason};
use crate::metrics::Metrics;
use crate::peer::{Greeter, Links};
use crate::reads::ReadRounds;
use crate::state_dir::StateDir;
use crate::state_machine::{Reader, Shared, StateMachine};
use crate::types::TypeConfig;

pub(crate) type Raft<E> = openraft::Raft<TypeConfig, StateMachine<E>>;

/// Who leads, as this member sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaderInfo {
    /// `None` while there is none, or while this member cannot hear it.
    pub leader: Option<u64>,
    pub term: u64,
}

/// A cheap look at a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub member_id: u64,
    pub cluster_id: u64,
    /// 0 when there is none.
    pub leader: u64,
    pub term: u64,
    pub last_log_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    pub is_learner: bool,
    /// Whether Raft counts its vote: a member that was just added or repaired must catch up first.
    pub votes: bool,
    /// Bytes on disk.
    pub db_size: i64,
    /// Bytes of live data, estimated.
    pub db_in_use: i64,
    /// Bytes; -1 when there is none, as etcd says when it is turned off.
    pub quota: i64,
    /// Requests accepted and not yet answered.
    pub pending_proposals: usize,
}

/// What `lease_time_to_live` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseInfo {
    /// Remaining seconds; -1 for an unknown lease.
    pub ttl: i64,
    pub granted_ttl: i64,
    pub keys: Vec<bytes::Bytes>,
}

/// Handle of a member. Clones share it; [`Node::shutdown`] ends it.
#[derive(Clone, Debug)]
pub struct Node<E: Env> {
    pub(crate) inner: Arc<Inner<E>>,
}

/// What all parts of a running member share.
pub(crate) struct Inner<E: Env> {
    pub(crate) env: E,
    pub(crate) name: String,
    pub(crate) advertise_client_urls: Vec<String>,
    pub(crate) cluster_token: String,
    pub(crate) max_learners: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) election_ms: u64,
    pub(crate) max_command_bytes: usize,
    pub(crate) raft: Raft<E>,
    pub(crate) shared: Arc<Shared<E>>,
    pub(crate) greeter: Arc<Greeter<E>>,
    pub(crate) links: Arc<Links<E>>,
    pub(crate) dir: Arc<StateDir>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) reads: ReadRounds,
    pub(crate) leader: watch::Sender<LeaderInfo>,
    /// Milliseconds of the member's clock when the leader was last heard.
    pub(crate) heard_leader_ms: AtomicU64,
    /// Serializes membership changes.
    pub(crate) changing_members: tokio::sync::Mutex<()>,
    /// Keeps checkpoints and renewals of leases in the order in which they were decided.
    pub(crate) lease_order: tokio::sync::Mutex<()>,
    /// Whether the cluster knows this member's name and client URLs.
    pub(crate) published: watch::Sender<bool>,
    pub(crate) compare_interval: Option<Duration>,
    pub(crate) scrub_interval: Option<Duration>,
    /// A snapshot sent from here was damaged.
    pub(crate) suspect: Arc<Notify>,
    pub(crate) stop: watch::Sender<Option<StopReason>>,
    /// Whether [`Node::shutdown`] was called.
    pub(crate) closed: AtomicBool,
}

impl<E: Env> std::fmt::Debug for Inner<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<E: Env> Inner<E> {
    pub(crate) fn member_id(&self) -> u64 {
        self.shared.member_id
    }

    pub(crate) fn greeter(&self) -> &Greeter<E> {
        &self.greeter
    }

    pub(crate) fn shared(&self) -> &Shared<E> {
        &self.shared
    }

    pub(crate) fn state_dir(&self) -> &Arc<StateDir> {
        &self.dir
    }

    /// Remembers that the leader was heard now.
    pub(crate) fn hear_leader(&self) {
        self.heard_leader_ms
            .store(self.shared.now_ms(), Ordering::Relaxed);
    }

    /// Ends the member's service; the first reason stays.
    pub(crate) fn stop_with(&self, reason: StopReason) {
        // What fails because damage was found is not the reason; that one is on its way.
        if matches!(reason, StopReason::Fatal(_)) && self.shared.damage.is_reported() {
            return;
        }
        self.stop.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason);
            }
            first
        });
    }

    /// Whether this member has at least what its former self may have served.
    pub(crate) fn is_caught_up(&self) -> bool {
        *self.shared.applied.borrow() >= self.greeter.identity.serves_from
    }

    /// Whether this member was repaired and its incarnation is the one the cluster has agreed on, as far as is
    /// known here: peers that lag behind may not know yet.
    pub(crate) fn is_newly_back(&self) -> bool {
        let identity = self.greeter.identity;
        let members = self.shared.members.load();
        let agreed = members.attributes.get(&identity.member_id);
        let agreed = agreed.is_some_and(|a| a.incarnation == identity.incarnation);
        identity.serves_from > 0 && (agreed || !self.is_caught_up())
    }

    /// Waits until this member has applied up to `index`.
    pub(crate) async fn wait_applied(&self, index: u64, limit: Duration) -> Result<(), Error> {
        let mut applied = self.shared.applied.subscribe();
        match timeout(limit, applied.wait_for(|at| *at >= index)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(Error::TimeoutAppliedIndex),
        }
    }
}

impl<E: Env> Node<E> {
    /// Reads of the current database; take a new one per request, a snapshot may replace it.
    #[must_use]
    pub fn reader(&self) -> Reader<E::Engine> {
        Reader::<E::Engine>::clone(&self.inner.shared.reader.load())
    }

    /// Where watchers are fed from.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.inner.shared.hub
    }

    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.shared.metrics
    }

    /// The log's own counters.
    #[must_use]
    pub fn wal(&self) -> &Wal {
        &self.inner.wal
    }

    #[must_use]
    pub fn member_id(&self) -> u64 {
        self.inner.member_id()
    }

    #[must_use]
    pub fn cluster_id(&self) -> u64 {
        self.inner.greeter.identity.cluster_id
    }

    /// The member's name, as configured.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Who leads now; cheap.
    #[must_use]
    pub fn leader(&self) -> LeaderInfo {
        *self.inner.leader.borrow()
    }

    /// Tells of every change of leader or term.
    #[must_use]
    pub fn leader_changes(&self) -> watch::Receiver<LeaderInfo> {
        self.inner.leader.subscribe()
    }

    /// Whether this member was added as a learner and not promoted yet.
    #[must_use]
    pub fn is_learner(&self) -> bool {
        self.inner.shared.learner.load(Ordering::Acquire)
    }

    /// Whether it was added or repaired as a voter and Raft does not count its vote yet.
    #[must_use]
    pub fn awaits_vote(&self) -> bool {
        self.inner.awaits_vote()
    }

    #[must_use]
    pub fn status(&self) -> Status {
        let inner = &self.inner;
        let LeaderInfo { leader, term } = self.leader();
        let size = inner.shared.engine.load().size();
        let metrics = inner.raft.metrics();
        let (last_log_index, committed_index) = {
            use openraft::async_runtime::watch::WatchReceiver;
            let m = metrics.borrow_watched();
            (
                m.last_log_index.unwrap_or(0),
                m.local_committed.map_or(0, |id| id.index),
            )
        };
        let applied_index = *inner.shared.applied.borrow();
        Status {
            member_id: self.member_id(),
            cluster_id: self.cluster_id(),
            leader: leader.unwrap_or(0),
            term,
            last_log_index: last_log_index.max(applied_index),
            committed_index: committed_index.max(applied_index),
            applied_index,
            is_learner: self.is_learner(),
            votes: inner.shared.members.load().is_voter(self.member_id()),
            db_size: i64::try_from(size.total_bytes).unwrap_or(i64::MAX),
            db_in_use: i64::try_from(size.in_use_bytes).unwrap_or(i64::MAX),
            quota: inner.shared.space.quota.reported(),
            pending_proposals: inner.shared.waiters.pending(),
        }
    }

    /// All members, in order of their ids, as this member has applied them.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.inner.shared.members.load().list()
    }

    /// Waits until everything this member had applied up to now is dropped below `revision`.
    pub async fn wait_reclaimed(&self, revision: i64) -> Result<(), Error> {
        self.inner.shared.reclaimer.wait(revision).await
    }

    /// Resolves when the cluster knows this member's name and client URLs and, unless it is a learner, counts
    /// its vote; needs a quorum.
    pub async fn published(&self) {
        let mut published = self.inner.published.subscribe();
        // The sender lives as long as this node.
        let _ = published.wait_for(|published| *published).await;
    }

    /// Resolves when this member may serve: at once, but for one whose data was lost and that comes back.
    pub async fn caught_up(&self) {
        let mut applied = self.inner.shared.applied.subscribe();
        let from = self.inner.greeter.identity.serves_from;
        // The sender lives as long as this node.
        let _ = applied.wait_for(|at| *at >= from).await;
    }

    /// Resolves when the member no longer serves.
    pub async fn stopped(&self) -> StopReason {
        let mut stop = self.inner.stop.subscribe();
        match stop.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(StopReason::Shutdown),
            Err(_) => StopReason::Shutdown,
        }
    }
}

impl<E: Env> Inner<E> {
    pub(crate) fn awaits_vote(&self) -> bool {
        self.shared.members.load().awaits_vote(self.member_id())
    }
}
