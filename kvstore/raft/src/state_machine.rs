//! The replicated state machine: applies committed commands, one engine batch for many of them.
//!
//! Apply is the only writer. Data, applied log id and membership move in one atomic batch; only then
//! are results handed to whoever waits and events to the watchers.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::BytesMut;
use futures_util::{Stream, StreamExt};
use mainstay_engine::{Cf, Direction, Engine, Read};
use mainstay_engine_rocks::{RocksEngine, RocksOptions};
use mainstay_lease::{Checkpoint, LeaseError, Lessor, Record};
use mainstay_mvcc::{Apply, LeaseLookup, Mvcc, MvccError, RevisionEvents};
use mainstay_watch::Hub;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::codec::{
    Reader as Fields, log_id_from, put_log_id, put_stored_membership, stored_membership_from,
};
use crate::command::{Applied, Decoded, Origin, decode};
use crate::error::Error;
use crate::limits::{APPLY_BATCH_BYTES_MAX, APPLY_BATCH_ENTRIES_MAX};
use crate::members::{Attributes, Members};
use crate::metrics::{Metrics, count};
use crate::reclaim::Reclaimer;
use crate::state_dir::{SnapshotDir, StateDir};
use crate::types::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::waiters::{Outcome, Settled, Waiters};

/// Reads of the current database.
pub type Reader = mainstay_mvcc::Reader<RocksEngine>;

const META_APPLIED: &[u8] = b"raft.applied";
const META_MEMBERSHIP: &[u8] = b"raft.membership";
const META_ATTRIBUTES: &[u8] = b"raft.attr.";
const META_REMOVED: &[u8] = b"raft.removed.";
const LEASE_RECORD: u8 = b'l';

/// What the rest of a member reads of its state machine.
pub(crate) struct Shared {
    pub(crate) member_id: u64,
    pub(crate) engine: ArcSwap<RocksEngine>,
    pub(crate) reader: ArcSwap<Reader>,
    pub(crate) members: ArcSwap<Members>,
    pub(crate) lessor: Mutex<Lessor>,
    pub(crate) waiters: Waiters,
    pub(crate) hub: Hub,
    pub(crate) reclaimer: Reclaimer,
    pub(crate) applied: watch::Sender<u64>,
    /// Whether this member was added as a learner and not promoted yet.
    pub(crate) learner: AtomicBool,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) started: Instant,
    pub(crate) min_lease_ttl: i64,
}

impl Shared {
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

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("member_id", &self.member_id)
            .finish_non_exhaustive()
    }
}

/// The part of the state machine that only the apply task touches.
pub(crate) struct StateMachine {
    shared: Arc<Shared>,
    mvcc: Mvcc<RocksEngine>,
    dir: Arc<StateDir>,
    options: RocksOptions,
    applied: Option<LogId>,
    members: Members,
    snapshot: Arc<Mutex<Option<(SnapshotMeta, Arc<SnapshotDir>)>>>,
}

impl std::fmt::Debug for StateMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateMachine")
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

/// What a database says of itself when it is opened.
pub(crate) struct Opened {
    pub(crate) engine: Arc<RocksEngine>,
    pub(crate) mvcc: Mvcc<RocksEngine>,
    pub(crate) lessor: Lessor,
    pub(crate) members: Members,
    pub(crate) applied: Option<LogId>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

impl Opened {
    pub(crate) fn open(path: &Path, options: &RocksOptions, min_ttl: i64) -> io::Result<Self> {
        let engine = Arc::new(RocksEngine::open(path, options).map_err(io::Error::other)?);
        let mvcc = Mvcc::open(Arc::clone(&engine)).map_err(io::Error::other)?;
        let (applied, members) = read_meta(&*engine)?;
        let mut lessor = Lessor::new(min_ttl);
        lessor.load(read_leases(&*engine)?);
        Ok(Self {
            engine,
            mvcc,
            lessor,
            members,
            applied,
        })
    }
}

/// The applied log id and the members recorded in a database.
fn read_meta(engine: &impl Read) -> io::Result<(Option<LogId>, Members)> {
    let get = |key| engine.get(Cf::Meta, key).map_err(io::Error::other);
    let applied = match get(META_APPLIED)? {
        None => None,
        Some(b) => {
            Some(log_id_from(&mut Fields::new(b, "applied log id")).map_err(io::Error::other)?)
        }
    };
    let mut members = Members::default();
    if let Some(b) = get(META_MEMBERSHIP)? {
        members.stored =
            stored_membership_from(&mut Fields::new(b, "membership")).map_err(io::Error::other)?;
    }
    for (id, value) in scan_ids(engine, META_ATTRIBUTES)? {
        let attributes = Attributes::decode(value.into()).map_err(io::Error::other)?;
        members.attributes.insert(id, attributes);
    }
    members.removed = scan_ids(engine, META_REMOVED)?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    Ok((applied, members))
}

/// Records whose key is a prefix and a member id.
fn scan_ids(engine: &impl Read, prefix: &[u8]) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut found = Vec::new();
    let end = [prefix, &[0xff; 9]].concat();
    engine
        .scan(
            Cf::Meta,
            prefix,
            Some(&end),
            Direction::Ascending,
            &mut |key, value| {
                if let Some(id) = key
                    .strip_prefix(prefix)
                    .and_then(|k| <[u8; 8]>::try_from(k).ok())
                {
                    found.push((u64::from_be_bytes(id), value.to_vec()));
                }
                ControlFlow::Continue(())
            },
        )
        .map_err(io::Error::other)?;
    Ok(found)
}

fn id_key(prefix: &[u8], id: u64) -> Vec<u8> {
    [prefix, &id.to_be_bytes()].concat()
}

fn lease_key(id: i64) -> [u8; 9] {
    let mut key = [LEASE_RECORD; 9];
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

fn read_leases(engine: &impl Read) -> io::Result<Vec<(i64, Record)>> {
    let mut leases = Vec::new();
    let mut bad = None;
    engine
        .scan(
            Cf::Lease,
            &[LEASE_RECORD],
            Some(&[LEASE_RECORD + 1]),
            Direction::Ascending,
            &mut |key, value| {
                let id = key.get(1..).and_then(|k| <[u8; 8]>::try_from(k).ok());
                match (id, Record::decode(value)) {
                    (Some(id), Ok(record)) => leases.push((i64::from_be_bytes(id), record)),
                    _ => {
                        bad = Some(key.to_vec());
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            },
        )
        .map_err(io::Error::other)?;
    match bad {
        None => Ok(leases),
        Some(key) => Err(io::Error::other(format!("damaged lease record {key:02x?}"))),
    }
}

/// Lets transactions ask for leases while the lessor is locked for a batch.
struct Leases<'a>(&'a Lessor);

impl LeaseLookup for Leases<'_> {
    fn exists(&self, id: i64) -> bool {
        self.0.exists(id)
    }
}

/// One engine batch in the making.
struct Batch<'a> {
    apply: Apply<'a, RocksEngine>,
    lessor: &'a mut Lessor,
    members: &'a mut Members,
    members_changed: bool,
    compacted: Option<i64>,
    outcomes: Vec<(u64, Outcome)>,
    me: u64,
    now_ms: u64,
    metrics: &'a Metrics,
}

impl Batch<'_> {
    fn command(&mut self, origin: Origin, command: Decoded) -> Result<(), MvccError> {
        let outcome = match self.execute(command) {
            Err(e) if e.is_fatal() => return Err(e),
            Err(e) => Err(map_mvcc(e)),
            Ok(outcome) => outcome,
        };
        if origin.member == self.me {
            self.outcomes.push((origin.seq, outcome));
        }
        Ok(())
    }

    /// The outer error is of the store, the inner one an answer.
    fn execute(&mut self, command: Decoded) -> Result<Outcome, MvccError> {
        Ok(match command {
            Decoded::Put(r) => Ok(Applied::Put(self.apply.put(&r, &Leases(self.lessor))?)),
            Decoded::DeleteRange(r) => Ok(Applied::DeleteRange(self.apply.delete_range(&r)?)),
            Decoded::Txn(r) => Ok(Applied::Txn(self.apply.txn(&r, &Leases(self.lessor))?)),
            Decoded::Compact { revision } => {
                self.apply.compact(revision)?;
                self.compacted = self.compacted.max(Some(revision));
                Ok(Applied::Compact {
                    revision: self.apply.revision(),
                })
            }
            Decoded::LeaseGrant { id, ttl } => self.grant(id, ttl),
            Decoded::LeaseRevoke { id } => self.revoke(id)?,
            Decoded::LeaseCheckpoint(list) => {
                for (id, remaining_ms) in list {
                    if let Some(record) = self.lessor.checkpoint(Checkpoint { id, remaining_ms }) {
                        self.save_lease(id, &record);
                    }
                }
                Ok(Applied::Done)
            }
            Decoded::Attributes {
                id,
                name,
                client_urls,
                incarnation,
            } => {
                if self.members.contains(id) {
                    let attributes = Attributes {
                        name,
                        client_urls,
                        incarnation,
                    };
                    let key = id_key(META_ATTRIBUTES, id);
                    self.apply
                        .batch_mut()
                        .put(Cf::Meta, &key, &attributes.encode());
                    self.members.attributes.insert(id, attributes);
                    self.members_changed = true;
                }
                Ok(Applied::Done)
            }
        })
    }

    fn grant(&mut self, id: i64, ttl: i64) -> Outcome {
        let record = self
            .lessor
            .grant(id, ttl, self.now_ms)
            .map_err(|e| match e {
                LeaseError::Exists => Error::LeaseExists,
                LeaseError::TooLarge => Error::LeaseTtlTooLarge,
                _ => Error::LeaseNotFound,
            })?;
        self.save_lease(id, &record);
        count(&self.metrics.leases_granted);
        Ok(Applied::LeaseGrant {
            id,
            ttl: record.ttl_s,
            revision: self.apply.revision(),
        })
    }

    fn revoke(&mut self, id: i64) -> Result<Outcome, MvccError> {
        if self.lessor.revoke(id).is_err() {
            return Ok(Err(Error::LeaseNotFound));
        }
        self.apply.delete_lease_keys(id)?;
        self.apply.batch_mut().delete(Cf::Lease, &lease_key(id));
        count(&self.metrics.leases_revoked);
        Ok(Ok(Applied::LeaseRevoke {
            revision: self.apply.revision(),
        }))
    }

    fn save_lease(&mut self, id: i64, record: &Record) {
        self.apply
            .batch_mut()
            .put(Cf::Lease, &lease_key(id), &record.encode());
    }

    fn membership(&mut self, stored: StoredMembership) {
        for id in self.members.apply(stored) {
            let batch = self.apply.batch_mut();
            batch.delete(Cf::Meta, &id_key(META_ATTRIBUTES, id));
            batch.put(Cf::Meta, &id_key(META_REMOVED, id), &[]);
        }
        let mut out = BytesMut::new();
        put_stored_membership(&mut out, &self.members.stored);
        self.apply.batch_mut().put(Cf::Meta, META_MEMBERSHIP, &out);
        self.members_changed = true;
    }
}

fn map_mvcc(e: MvccError) -> Error {
    match e {
        MvccError::LeaseNotFound => Error::LeaseNotFound,
        other => Error::Mvcc(other),
    }
}

impl StateMachine {
    pub(crate) fn new(
        shared: Arc<Shared>,
        opened: (Mvcc<RocksEngine>, Option<LogId>),
        dir: Arc<StateDir>,
        options: RocksOptions,
    ) -> Self {
        let members = Members::clone(&shared.members.load());
        Self {
            shared,
            mvcc: opened.0,
            dir,
            options,
            applied: opened.1,
            members,
            snapshot: Arc::new(Mutex::new(None)),
        }
    }

    /// Applies entries as one engine batch; responders are told after it is visible.
    fn apply_batch(&mut self, entries: &mut Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let Some((last, _)) = entries.last() else {
            return Ok(());
        };
        let last = last.log_id;
        let mut lessor = self.shared.lessor.lock();
        let mut batch = Batch {
            apply: self.mvcc.begin(),
            lessor: &mut lessor,
            members: &mut self.members,
            members_changed: false,
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
        batch.apply.batch_mut().put(Cf::Meta, META_APPLIED, &out);
        let Batch {
            apply,
            members_changed,
            compacted,
            outcomes,
            ..
        } = batch;
        let events = apply.commit().map_err(io::Error::other)?;
        drop(lessor);
        self.applied = Some(last);
        if members_changed {
            self.shared.set_members(self.members.clone());
        }
        self.publish(events, compacted, last.index, outcomes);
        for responder in responders {
            responder.send(());
        }
        Ok(())
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

    fn install(&mut self, meta: &SnapshotMeta, snapshot: SnapshotDir) -> io::Result<()> {
        let path = self.dir.install(snapshot)?;
        let opened = Opened::open(&path, &self.options, self.shared.min_lease_ttl)?;
        if opened.applied != meta.last_log_id {
            return Err(io::Error::other(format!(
                "a snapshot said to end at {:?} ends at {:?}",
                meta.last_log_id, opened.applied
            )));
        }
        let (revision, compacted) = (opened.mvcc.revision(), opened.mvcc.compacted());
        self.shared.reader.store(Arc::new(opened.mvcc.reader()));
        self.shared.reclaimer.switch(&opened.engine);
        self.shared.engine.store(Arc::clone(&opened.engine));
        *self.shared.lessor.lock() = opened.lessor;
        self.mvcc = opened.mvcc;
        self.members = opened.members;
        self.applied = opened.applied;
        self.shared.set_members(self.members.clone());
        self.shared.hub.reset(revision, compacted);
        if let Some(last) = self.applied {
            self.shared.applied.send_replace(last.index);
        }
        Ok(())
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Arc<SnapshotDir>;
    type SnapshotBuilder = SnapshotBuilder;

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
                self.apply_batch(&mut batch)?;
                bytes = 0;
            }
        }
        self.apply_batch(&mut batch)
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<SnapshotBuilder> {
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            engine: self.shared.engine.load_full(),
            dir: Arc::clone(&self.dir),
            options: self.options.clone(),
            current: Arc::clone(&self.snapshot),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Arc<SnapshotDir>,
    ) -> Result<(), io::Error> {
        let snapshot = Arc::into_inner(snapshot)
            .ok_or_else(|| io::Error::other("a received snapshot is in use twice"))?;
        *self.snapshot.lock() = None;
        self.install(meta, snapshot)
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<Arc<SnapshotDir>>>, io::Error> {
        let current = self.snapshot.lock();
        Ok(current.as_ref().map(|(meta, dir)| Snapshot {
            meta: meta.clone(),
            snapshot: Arc::clone(dir),
        }))
    }
}

/// Makes a checkpoint while the state machine goes on applying.
pub(crate) struct SnapshotBuilder {
    engine: Arc<RocksEngine>,
    dir: Arc<StateDir>,
    options: RocksOptions,
    current: Arc<Mutex<Option<(SnapshotMeta, Arc<SnapshotDir>)>>>,
}

impl std::fmt::Debug for SnapshotBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SnapshotBuilder")
    }
}

/// Small: the copy is opened only to be asked for its log id.
fn inspection() -> RocksOptions {
    RocksOptions {
        block_cache_bytes: 1 << 20,
        memtables_bytes: 1 << 20,
        must_exist: true,
    }
}

impl SnapshotBuilder {
    /// A checkpoint is durable when it is made, so the log below it may go. Which log id it ends at
    /// is read from the checkpoint itself: applying went on meanwhile.
    fn build(&self) -> io::Result<(SnapshotMeta, SnapshotDir)> {
        self.engine.flush().map_err(io::Error::other)?;
        let snapshot = self.dir.new_snapshot();
        self.engine
            .checkpoint(snapshot.path())
            .map_err(io::Error::other)?;
        let (last_log_id, members) = {
            let copy =
                RocksEngine::open(snapshot.path(), &inspection()).map_err(io::Error::other)?;
            read_meta(&copy)?
        };
        Ok((
            SnapshotMeta {
                last_log_id,
                last_membership: members.stored,
            },
            snapshot,
        ))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Arc<SnapshotDir>;

    async fn build_snapshot(&mut self) -> Result<Snapshot<Arc<SnapshotDir>>, io::Error> {
        let this = SnapshotBuilder {
            engine: Arc::clone(&self.engine),
            dir: Arc::clone(&self.dir),
            options: self.options.clone(),
            current: Arc::clone(&self.current),
        };
        let (meta, dir) = tokio::task::spawn_blocking(move || this.build())
            .await
            .map_err(io::Error::other)??;
        let dir = Arc::new(dir);
        *self.current.lock() = Some((meta.clone(), Arc::clone(&dir)));
        Ok(Snapshot {
            meta,
            snapshot: dir,
        })
    }
}
