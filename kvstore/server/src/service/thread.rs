//! What one serving thread owns, and what all of them share.

use super::Front;
use super::watch_desk::WatchDesk;
use crate::metrics::{Counters, ThreadCounters, Traffic};
use crate::os::Node;
use crate::route::Route;
use crate::serve::{Role, Thread};
use mainstay_raft::repair::History;
use mainstay_wal::OsDisk;
use mainstay_watch::ShardSeed;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Flags that services need.
#[derive(Debug, Clone)]
pub(crate) struct ServiceOptions {
    pub(crate) max_txn_ops: usize,
    pub(crate) max_request_bytes: usize,
    pub(crate) election: Duration,
    pub(crate) progress_interval: Duration,
    pub(crate) slow_request: Duration,
    pub(crate) extensive_metrics: bool,
}

/// Shared by all serving threads.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) node: Node,
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
    pub(crate) options: ServiceOptions,
    pub(crate) counters: Counters,
    pub(crate) started: Instant,
    pub(crate) data_dir: PathBuf,
}

impl Shared {
    /// What was found damaged and repaired, over all lives of the data directory.
    pub(crate) fn history(&self) -> History {
        History::load(&OsDisk, &self.data_dir)
    }

    pub(crate) fn note_slow(&self, route: Route, took: Duration) {
        self.counters.slow_requests.fetch_add(1, Relaxed);
        tracing::warn!(
            method = route.method(),
            time_spent = ?took,
            "request took longer than the warning threshold"
        );
    }
}

/// The services of one thread.
pub(crate) struct Services {
    pub(crate) shared: Arc<Shared>,
    pub(crate) counters: Arc<ThreadCounters>,
    pub(crate) desk: WatchDesk,
    /// Counts the times the leader was missing for so long that streams which require one end.
    pub(crate) leader_lost: watch::Sender<u64>,
}

/// How often a thread counts its watchers.
const REFRESH: Duration = Duration::from_millis(100);
/// Election timeouts without a leader after which streams that require one end, as in etcd.
const LEADERLESS_TICKS_MAX: u32 = 3;

impl Services {
    fn new(shared: Arc<Shared>, index: usize, seed: ShardSeed) -> Rc<Self> {
        let counters = Arc::clone(&shared.counters.threads[index]);
        let desk = WatchDesk::new(&shared, seed);
        let leader_lost = watch::Sender::new(0);
        Rc::new(Self {
            shared,
            counters,
            desk,
            leader_lost,
        })
    }

    pub(crate) fn is_learner(&self) -> bool {
        self.shared.node.is_learner()
    }

    async fn refresh(&self) {
        let mut tick = interval(REFRESH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let (streams, watchers) = self.desk.counts();
            self.counters.watch_streams.set(streams as u64);
            self.counters.watchers.set(watchers as u64);
        }
    }

    async fn watch_leader(&self) {
        let mut tick = interval(self.shared.options.election);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missing = 0;
        loop {
            tick.tick().await;
            if self.shared.node.leader().leader.is_some() {
                missing = 0;
                continue;
            }
            missing += 1;
            if missing >= LEADERLESS_TICKS_MAX {
                self.leader_lost.send_modify(|times| *times += 1);
            }
        }
    }
}

/// Hands out the services by listener.
pub(crate) struct ThreadServices {
    services: Rc<Services>,
    fronts: Vec<(Role, Rc<Front>)>,
}

impl ThreadServices {
    pub(crate) fn new(shared: Arc<Shared>, index: usize, seed: ShardSeed) -> Rc<Self> {
        let services = Services::new(shared, index, seed);
        let roles = [Role::Everything, Role::Grpc, Role::Http, Role::Metrics];
        let fronts = roles.map(|role| (role, Front::new(role, &services))).into();
        Rc::new(Self { services, fronts })
    }
}

impl Thread for ThreadServices {
    type Service = Front;

    fn service(&self, role: Role) -> Rc<Front> {
        let front = self.fronts.iter().find(|(own, _)| *own == role);
        front.map_or_else(
            || Front::new(role, &self.services),
            |(_, front)| Rc::clone(front),
        )
    }

    fn traffic(&self) -> Rc<Traffic> {
        Traffic::new(&self.services.counters)
    }

    async fn background(self: Rc<Self>) {
        let services = &self.services;
        tokio::join!(
            services.desk.run(),
            services.refresh(),
            services.watch_leader()
        );
    }
}
