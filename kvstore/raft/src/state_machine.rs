//! The replicated state machine: applies committed commands, one engine batch for many of them.
//!
//! Apply is the only writer. Data, applied log id and membership move in one atomic batch; only then
//! are results handed to whoever waits and events to the watchers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use bytes::BytesMut;
use futures_util::{Stream, StreamExt};
use mainstay_engine::{Cf, Engine};
use mainstay_lease::Lessor;
use mainstay_mvcc::{Mvcc, MvccError, RevisionEvents, Sealed};
use mainstay_planted::{Bug, has};
use mainstay_watch::Hub;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder as _};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admission::Space;
use crate::alarms::Alarms;
use crate::batch::Batch;
use crate::codec::put_log_id;
use crate::command::decode;
use crate::env::Env;
use crate::full::{Patience, engine_error, is_full, store_error, with_patience};
use crate::limits::{APPLY_BATCH_BYTES_MAX, APPLY_BATCH_ENTRIES_MAX};
use crate::members::Members;
use crate::metrics::Metrics;
use crate::reclaim::Reclaimer;
use crate::records::{META_APPLIED, Opened};
use crate::repair::{Damage, Kind};
use crate::snapshot::{Current, SnapshotBuilder};
use crate::state_dir::{SnapshotDir, StateDir};
use crate::storage::watch_engine;
use crate::types::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::waiters::{Outcome, Settled, Waiters};

/// Reads of the current database.
pub type Reader<T> = mainstay_mvcc::Reader<T>;

/// What the rest of a member reads of its state machine.
pub(crate) struct Shared<E: Env> {
    pub(crate) member_id: u64,
    pub(crate) engine: ArcSwap<E::Engine>,
    pub(crate) reader: ArcSwap<Reader<E::Engine>>,
    pub(crate) members: ArcSwap<Members>,
    pub(crate) alarms: ArcSwap<Alarms>,
    pub(crate) space: Arc<Space>,
    pub(crate) lessor: Mutex<Lessor>,
    pub(crate) waiters: Waiters,
    pub(crate) hub: Hub,
    pub(crate) reclaimer: Reclaimer<E>,
    pub(crate) snapshot: Arc<Current>,
    pub(crate) applied: watch::Sender<u64>,
    /// Whether this member was added as a learner and not promoted yet.
    pub(crate) learner: AtomicBool,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) damage: Arc<Damage>,
    pub(crate) started: Instant,
    pub(crate) min_lease_ttl: i64,
}

impl<E: Env> Shared<E> {
    fn set_members(&self, members: Members) {
        let me = members.membership().get_node(&self.member_id);
        self.learner
            .store(me.is_some_and(|node| node.learner), Ordering::Release);
        self.members.store(Arc::new(members));
    }

    /// Milliseconds since this member started: the clock of leases.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl<E: Env> std::fmt::Debug for Shared<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("member_id", &self.member_id)
            .finish_non_exhaustive()
    }
}

/// The part of the state machine that only the apply task touches.
pub(crate) struct StateMachine<E: Env> {
    env: E,
    shared: Arc<Shared<E>>,
    mvcc: Mvcc<E::Engine>,
    dir: Arc<StateDir>,
    applied: Option<LogId>,
    members: Members,
    alarms: Alarms,
}

/// Entries that were run, whose batch is written or waits to be.
struct Executed {
    sealed: Sealed,
    last: LogId,
    members_changed: bool,
    alarms_changed: bool,
    compacted: Option<i64>,
    outcomes: Vec<(u64, Outcome)>,
    responders: Vec<ApplyResponder<TypeConfig>>,
}

impl<E: Env> std::fmt::Debug for StateMachine<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateMachine")
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

impl<E: Env> StateMachine<E> {
    pub(crate) fn new(
        env: E,
        shared: Arc<Shared<E>>,
        opened: (Mvcc<E::Engine>, Option<LogId>),
        dir: Arc<StateDir>,
    ) -> Self {
        Self {
            env,
            members: Members::clone(&shared.members.load()),
            alarms: Alarms::clone(&shared.alarms.load()),
            shared,
            mvcc: opened.0,
            dir,
            applied: opened.1,
        }
    }

    /// Nothing is applied once damage was found, and damage found by applying is reported.
    async fn apply_or_report(
        &mut self,
        entries: &mut Vec<EntryResponder<TypeConfig>>,
    ) -> io::Result<()> {
        if self.shared.damage.is_reported() {
            return Err(io::Error::other("the member's data is damaged"));
        }
        let applied = self.apply_batch(entries).await;
        applied.inspect_err(|e| self.shared.damage.note(Kind::Engine, e))
    }

    /// Applies entries as one engine batch; responders are told after it is visible. A full disk makes it
    /// wait: nothing is visible before everything is.
    async fn apply_batch(
        &mut self,
        entries: &mut Vec<EntryResponder<TypeConfig>>,
    ) -> io::Result<()> {
        let Some((executed, written)) = self.execute(entries)? else {
            return Ok(());
        };
        if let Err(e) = written.map_err(store_error) {
            self.write_later(&executed.sealed, e).await?;
        }
        self.conclude(executed);
        Ok(())
    }

    /// Writes a batch that was refused with `refused`.
    async fn write_later(&mut self, sealed: &Sealed, refused: io::Error) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let mut held_up = None;
        let mut patience = Patience::new("applying");
        let mut refused = Some(refused);
        while let Some(e) = refused.take() {
            if is_full(&e) && held_up.is_none() {
                held_up = Some(shared.space.hold_up());
            }
            patience.after(e).await?;
            refused = self.mvcc.write(sealed).map_err(store_error).err();
        }
        patience.over();
        Ok(())
    }

    /// Runs entries against the store, up to and with the first attempt to write their batch.
    fn execute(
        &mut self,
        entries: &mut Vec<EntryResponder<TypeConfig>>,
    ) -> io::Result<Option<(Executed, Result<(), MvccError>)>> {
        let Some((last, _)) = entries.last() else {
            return Ok(None);
        };
        let last = last.log_id;
        let mut lessor = self.shared.lessor.lock();
        let mut batch = Batch {
            apply: self.mvcc.begin(),
            lessor: &mut lessor,
            members: &mut self.members,
            members_changed: false,
            alarms: &mut self.alarms,
            alarms_changed: false,
            compacted: None,
            outcomes: Vec::with_capacity(entries.len()),
            me: self.shared.member_id,
            now_ms: self.shared.now_ms(),
            metrics: &self.shared.metrics,
        };
        let mut responders = Vec::with_capacity(entries.len());
        for (entry, responder) in entries.drain(..) {
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(cmd) => {
                    let (origin, command) = decode(cmd.0).map_err(io::Error::other)?;
                    batch.command(origin, command).map_err(io::Error::other)?;
                }
                EntryPayload::Membership(m) => {
                    batch.membership(StoredMembership::new(Some(entry.log_id), m));
                }
            }
            responders.extend(responder);
        }
        let mut out = BytesMut::with_capacity(24);
        put_log_id(&mut out, &last);
        if !has(Bug::TornBatch) {
            batch.apply.batch_mut().put(Cf::Meta, META_APPLIED, &out);
        }
        let Batch {
            apply,
            members_changed,
            alarms_changed,
            compacted,
            outcomes,
            ..
        } = batch;
        let executed = Executed {
            sealed: apply.finish(),
            last,
            members_changed,
            alarms_changed,
            compacted,
            outcomes,
            responders,
        };
        // Nobody sees the leases of a batch before its data, unless the batch has to wait.
        let mut written = self.mvcc.write(&executed.sealed);
        if has(Bug::TornBatch) && written.is_ok() {
            let mut apart = mainstay_engine::Batch::new();
            apart.put(Cf::Meta, META_APPLIED, &out);
            written = Engine::write(&**self.mvcc.engine(), &apart).map_err(MvccError::from);
        }
        Ok(Some((executed, written)))
    }

    /// The batch is written: everybody may know.
    fn conclude(&mut self, executed: Executed) {
        let Executed {
            sealed,
            last,
            members_changed,
            alarms_changed,
            compacted,
            outcomes,
            responders,
        } = executed;
        self.applied = Some(last);
        if members_changed {
            self.shared.set_members(self.members.clone());
        }
        if alarms_changed {
            self.shared.alarms.store(Arc::new(self.alarms.clone()));
        }
        self.publish(sealed.into_events(), compacted, last.index, outcomes);
        for responder in responders {
            responder.send(());
        }
    }

    /// Makes an applied batch known: watchers, then those who wait for an index or a result.
    fn publish(
        &self,
        events: Vec<RevisionEvents>,
        compacted: Option<i64>,
        index: u64,
        outcomes: Vec<(u64, Outcome)>,
    ) {
        if let Some(revision) = compacted {
            self.shared.hub.set_compacted(revision);
            self.shared.reclaimer.request(revision);
        }
        if !events.is_empty() {
            let events: Vec<_> = events.into_iter().map(|r| (r.revision, r.events)).collect();
            self.shared.hub.publish(events);
        }
        self.shared.applied.send_replace(index);
        for (seq, outcome) in outcomes {
            self.shared.waiters.complete(seq, Settled::Applied(outcome));
        }
    }

    async fn install(&mut self, meta: &SnapshotMeta, mut snapshot: SnapshotDir) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let held_up = shared.space.hold_up();
        let what = "taking over a snapshot";
        let (path, before) = with_patience(what, || self.dir.install(&mut snapshot)).await?;
        let open = || self.env.reopen_engine(&path).map_err(engine_error);
        let engine = with_patience(what, open).await?;
        drop(held_up);
        let opened = Opened::new(engine, self.shared.min_lease_ttl)?;
        watch_engine(&*opened.engine, &self.shared.damage);
        if opened.applied != meta.last_log_id {
            return Err(io::Error::other(format!(
                "a snapshot said to end at {:?} ends at {:?}",
                meta.last_log_id, opened.applied
            )));
        }
        let (revision, compacted) = (opened.mvcc.revision(), opened.mvcc.compacted());
        let reader = self.shared.reader.swap(Arc::new(opened.mvcc.reader()));
        self.shared.reclaimer.switch(&opened.engine);
        let engine = self.shared.engine.swap(Arc::clone(&opened.engine));
        // Its files go when the last reader has let go of it.
        engine.keep_until_closed(Box::new(before));
        *self.shared.lessor.lock() = opened.lessor;
        let closing = (
            std::mem::replace(&mut self.mvcc, opened.mvcc),
            reader,
            engine,
        );
        let env = self.env.clone();
        tokio::spawn(async move { env.blocking(move || drop(closing)).await });
        self.members = opened.members;
        self.alarms = opened.alarms;
        self.shared.alarms.store(Arc::new(self.alarms.clone()));
        self.applied = opened.applied;
        self.shared.set_members(self.members.clone());
        self.shared.hub.reset(revision, compacted);
        if let Some(last) = self.applied {
            self.shared.applied.send_replace(last.index);
        }
        Ok(())
    }
}

impl<E: Env> RaftStateMachine<TypeConfig> for StateMachine<E> {
    type SnapshotData = Arc<SnapshotDir>;
    type SnapshotBuilder = SnapshotBuilder<E>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.members.stored.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(item) = entries.next().await {
            let item = item?;
            if let EntryPayload::Normal(cmd) = &item.0.payload {
                bytes += cmd.0.len();
            }
            batch.push(item);
            if batch.len() >= APPLY_BATCH_ENTRIES_MAX || bytes >= APPLY_BATCH_BYTES_MAX {
                self.apply_or_report(&mut batch).await?;
                bytes = 0;
            }
        }
        self.apply_or_report(&mut batch).await
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<SnapshotBuilder<E>> {
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder<E> {
        SnapshotBuilder {
            engine: self.shared.engine.load_full(),
            dir: Arc::clone(&self.dir),
            env: self.env.clone(),
            current: Arc::clone(&self.shared.snapshot),
            damage: Arc::clone(&self.shared.damage),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Arc<SnapshotDir>,
    ) -> Result<(), io::Error> {
        let snapshot = Arc::into_inner(snapshot)
            .ok_or_else(|| io::Error::other("a received snapshot is in use twice"))?;
        self.shared.snapshot.replaced_by_received();
        let installed = self.install(meta, snapshot).await;
        installed.inspect_err(|e| self.shared.damage.note(Kind::Engine, e))
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<Arc<SnapshotDir>>>, io::Error> {
        let current = self.shared.snapshot.get();
        // A leader must be able to send one at any time.
        if current.is_none() && self.shared.snapshot.is_owed() {
            let mut builder = self.get_snapshot_builder().await;
            return builder.build_snapshot().await.map(Some);
        }
        Ok(current)
    }
}
