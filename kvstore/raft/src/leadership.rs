//! Who leads: what Raft believes, corrected by what this member actually hears.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_proto::etcdserverpb::AlarmType;
use openraft::async_runtime::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::alarms::AlarmCause;
use crate::contacts;
use crate::env::Env;
use crate::error::StopReason;
use crate::limits::{DISK_STALL_HANDOVER, GREETING_TIMEOUT, LEADERLESS_ASK, SNAPSHOT_LOG_BYTES};
use crate::members::Members;
use crate::metrics::count;
use crate::node::{Inner, LeaderInfo};
use crate::peer::Purpose;

/// How often silence is noticed.
const SILENCE_TICK: Duration = Duration::from_millis(100);
/// How long a stalled leader tries to tell how long its leases still last.
const LEASE_CHECKPOINT_LIMIT: Duration = Duration::from_millis(500);
/// How often disk, log and members are looked at.
const DISK_TICK: Duration = Duration::from_millis(250);

impl<E: Env> Inner<E> {
    /// Raft keeps naming a leader that has died until another is elected. A leader that is not heard
    /// for two election timeouts, or that hears no quorum for so long, is none.
    fn leader_now(&self) -> LeaderInfo {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let silence_ms = 2 * self.election_ms;
        // etcd's first leader has term 2: its term 1 is that of the entries that found the cluster.
        let term = metrics.current_term + 1;
        let leader = metrics.current_leader.filter(|leader| {
            if *leader == self.member_id() {
                // A lone voter needs nobody's acknowledgement, and gets none while it is idle.
                let alone = metrics.membership_config.voter_ids().nth(1).is_none();
                let acked = metrics.last_quorum_acked.as_ref();
                alone || acked.is_none_or(|at| at.elapsed() < Duration::from_millis(silence_ms))
            } else {
                let heard = self.heard_leader_ms.load(Ordering::Relaxed);
                self.shared.now_ms().saturating_sub(heard) < silence_ms
            }
        });
        LeaderInfo { leader, term }
    }

    /// Publishes changes of leader and term.
    pub(crate) async fn run_leader_watch(self: Arc<Self>) {
        let mut metrics = self.raft.metrics();
        let mut tick = interval(SILENCE_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_leader = None;
        loop {
            tokio::select! {
                biased;
                changed = metrics.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                _ = tick.tick() => {}
            }
            if let Err(fatal) = &metrics.borrow_watched().running_state {
                self.fatal(fatal);
            }
            let now = self.leader_now();
            self.leader.send_if_modified(|info| {
                let changed = *info != now;
                *info = now;
                changed
            });
            if now.leader.is_some() && now.leader != last_leader {
                last_leader = now.leader;
                count(&self.shared.metrics.leader_changes);
                let leader = now.leader.unwrap_or(0);
                tracing::info!("member {leader:x} leads in term {}", now.term);
            }
        }
    }

    /// Hands leadership over when the disk stalls. On its own, because nothing here may wait for that disk.
    pub(crate) async fn run_stall_watch(self: Arc<Self>) {
        let mut tick = interval(DISK_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut handed_over = None;
        loop {
            tick.tick().await;
            if handed_over.is_none_or(|at: Instant| at.elapsed() > DISK_STALL_HANDOVER)
                && self.hand_over_if_stalled().await
            {
                handed_over = Some(Instant::now());
            }
        }
    }

    /// Keeps the log's size in bounds, and what is on disk beside it up to date.
    pub(crate) async fn run_disk_watch(self: Arc<Self>) {
        let mut tick = interval(DISK_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut snapshot_at = self.wal.stats().bytes;
        let mut noted = Vec::new();
        loop {
            tick.tick().await;
            let keep = self.shared.space.log_keep_bytes;
            if self.wal.disk_bytes() > keep.saturating_add(keep / 4) {
                self.purge_log(keep).await;
            }
            let written = self.wal.stats().bytes;
            if written.saturating_sub(snapshot_at) > SNAPSHOT_LOG_BYTES.min(keep / 2) {
                snapshot_at = written;
                if let Err(e) = self.raft.trigger().snapshot().await {
                    self.fatal(&e);
                }
            }
            let members = self.shared.members.load();
            self.note_contacts(&members, &mut noted).await;
        }
    }

    /// Notices who was removed, this member among them.
    pub(crate) async fn run_removal_watch(self: Arc<Self>) {
        let mut tick = interval(DISK_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut led_at = Instant::now();
        loop {
            tick.tick().await;
            let members = self.shared.members.load();
            for id in &members.removed {
                self.links.forget(*id);
            }
            if members.removed.contains(&self.member_id()) {
                self.stop_with(StopReason::Removed);
            }
            if self.leader.borrow().leader.is_some() {
                led_at = Instant::now();
            } else if led_at.elapsed() > LEADERLESS_ASK {
                led_at = Instant::now();
                self.greet_anew(&members);
            }
        }
    }

    /// Introduces this member to the others once more. Who was removed while nobody could reach it hears of that from
    /// nobody, and learners ask for nothing by themselves: a greeting is what a removed member is refused at.
    fn greet_anew(&self, members: &Members) {
        // Who was removed before anything reached it knows only whom it was told of at its start.
        let told = self.links.bootstrap.keys().copied();
        let all: BTreeSet<u64> = members.nodes().into_keys().chain(told).collect();
        for id in all.into_iter().filter(|id| *id != self.member_id()) {
            // An open connection was greeted when this member still belonged to the cluster.
            self.links.forget(id);
            let link = self.links.get(id, Purpose::Request);
            tokio::spawn(async move {
                // Nobody there is no news.
                let _ = timeout(GREETING_TIMEOUT, link.conn()).await;
            });
        }
    }

    /// Keeps on disk where the other members are, for a time when nothing else is readable.
    async fn note_contacts(&self, members: &Members, noted: &mut Vec<String>) {
        let others = members.nodes().into_iter();
        let others = others.filter(|(id, _)| *id != self.member_id());
        let urls: Vec<String> = others
            .flat_map(|(_, node)| node.peer_urls.clone())
            .collect();
        if urls == *noted || urls.is_empty() {
            return;
        }
        noted.clone_from(&urls);
        let damage = Arc::clone(&self.shared.damage);
        let storing = self
            .env
            .blocking(move || contacts::store(&*damage.disk, &damage.data_dir, &urls));
        if let Err(e) = storing.await.and_then(|stored| stored) {
            tracing::warn!("noting where the other members are: {e}");
        }
    }

    /// A leader that cannot write or apply gives way to one that can. True if it tried.
    async fn hand_over_if_stalled(&self) -> bool {
        let stalls = [self.wal.oldest_unsynced(), self.shared.space.held_up_for()];
        let longest = stalls.into_iter().flatten().max();
        if longest.is_none_or(|age| age <= DISK_STALL_HANDOVER) || !self.raft.is_leader() {
            return false;
        }
        let Some(to) = self.best_successor() else {
            return false;
        };
        let full = self.wal.stats().full || self.shared.space.held_up_for().is_some();
        if full && self.has_no_space(to) {
            // It would only be handed back.
            return false;
        }
        tracing::warn!("this leader's disk stalls: handing leadership to member {to:x}");
        // The others can still decide that, and the leases do not begin anew.
        let checkpoint = timeout(LEASE_CHECKPOINT_LIMIT, self.checkpoint_all_leases());
        if !matches!(checkpoint.await, Ok(Ok(()))) {
            tracing::debug!("leases were not checkpointed before the hand-over");
        }
        if let Err(e) = self.raft.trigger().transfer_leader(to).await {
            self.fatal(&e);
        }
        true
    }

    fn has_no_space(&self, member: u64) -> bool {
        let alarms = self.shared.alarms.load();
        alarms.cause(AlarmType::Nospace, member) == Some(AlarmCause::Disk)
    }

    /// The other voter with the longest log, and room on its disks if possible.
    pub(crate) fn best_successor(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref()?;
        let members = self.shared.members.load();
        replication
            .iter()
            .filter(|(id, _)| **id != self.member_id() && members.is_voter(**id))
            .max_by_key(|(id, matched)| (!self.has_no_space(**id), matched.map(|id| id.index)))
            .map(|(id, _)| *id)
    }
}
