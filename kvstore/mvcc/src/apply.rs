//! The writing side: requests of one batch, in order, into one atomic engine batch.

use crate::compare::{Path, Steps, branch};
use crate::limits::{LOG_INLINE_VALUE_BYTES_MAX, STALL_PAUSE};
use crate::overlay::{Overlay, Slot};
use crate::range::{header, range};
use crate::record::Record;
use crate::store::Position;
use crate::txn::{Checker, nested_header};
use crate::view::{Span, View};
use crate::{LeaseLookup, Mvcc, MvccError, keys, log};
use bytes::Bytes;
use mainstay_engine::{Batch, Cf, Direction, Engine, EngineError, Read};
use mainstay_planted::{Bug, has};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::response_op::Response;
use mainstay_proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RequestOp, ResponseOp,
    TxnRequest, TxnResponse,
};
use mainstay_proto::mvccpb::event::EventType;
use mainstay_proto::mvccpb::{Event, KeyValue};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// All events of one revision, in the order in which they happened.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionEvents {
    pub revision: i64,
    /// `prev_kv` is filled where the key had a record one revision before and the event does not create it.
    pub events: Vec<Event>,
}

/// A batch of requests under way. Later requests see what earlier ones did; nobody else does before
/// [`Apply::commit`], and nothing happened if it is dropped instead.
///
/// A request that is refused has changed nothing, and the batch goes on. After a fatal error
/// ([`MvccError::is_fatal`]) the batch must be dropped.
#[derive(Debug)]
pub struct Apply<'a, E: Engine> {
    mvcc: &'a mut Mvcc<E>,
    batch: Batch,
    overlay: Overlay,
    /// Keys attached to leases by this batch. Some may have been detached again.
    attached: BTreeMap<i64, BTreeSet<Bytes>>,
    position: Position,
    /// The changes of the revision under way.
    changes: Vec<Change>,
    done: Vec<RevisionEvents>,
}

/// A batch that is complete and not written yet. Nobody has seen anything of it.
#[derive(Debug)]
pub struct Sealed {
    pub(crate) batch: Batch,
    pub(crate) overlay: Overlay,
    pub(crate) position: Position,
    events: Vec<RevisionEvents>,
}

impl Sealed {
    /// The events in revision order, for when the batch is written.
    pub fn into_events(self) -> Vec<RevisionEvents> {
        self.events
    }
}

#[derive(Debug)]
struct Change {
    key: Bytes,
    /// The new record; `None` for a delete.
    record: Option<Record>,
    /// The record one revision before.
    before: Option<Record>,
}

impl Change {
    /// What watchers get as the previous key-value.
    fn previous(&self) -> Option<&Record> {
        let creates = self.record.as_ref().is_some_and(|r| r.create == r.modified);
        self.before.as_ref().filter(|_| !creates)
    }
}

impl<'a, E: Engine> Apply<'a, E> {
    pub(crate) fn new(mvcc: &'a mut Mvcc<E>) -> Self {
        let position = mvcc.position;
        Self {
            mvcc,
            batch: Batch::new(),
            overlay: Overlay::default(),
            attached: BTreeMap::new(),
            position,
            changes: Vec::new(),
            done: Vec::new(),
        }
    }

    /// The revision after the requests so far.
    pub fn revision(&self) -> i64 {
        self.position.revision
    }

    /// The compacted revision after the requests so far.
    pub fn compacted(&self) -> i64 {
        self.position.compacted
    }

    /// The engine batch, for the caller's own records in [`Cf::Meta`], [`Cf::Lease`] and [`Cf::Auth`].
    pub fn batch_mut(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Sets a key. Errors: lease not found; key not found, with `ignore_value` or `ignore_lease`.
    pub fn put(
        &mut self,
        r: &PutRequest,
        leases: &dyn LeaseLookup,
    ) -> Result<PutResponse, MvccError> {
        if r.lease != 0 && !leases.exists(r.lease) {
            return Err(MvccError::LeaseNotFound);
        }
        if self.load(&r.key)?.is_none() && (r.ignore_value || r.ignore_lease) {
            return Err(MvccError::KeyNotFound);
        }
        let response = self.execute_put(r)?;
        self.seal();
        Ok(response)
    }

    /// Deletes keys: one revision for all of them, none if there are none.
    pub fn delete_range(
        &mut self,
        r: &DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, MvccError> {
        let response = self.execute_delete(r)?;
        self.seal();
        Ok(response)
    }

    /// Runs a transaction. Everything that can fail is checked before anything is changed.
    pub fn txn(
        &mut self,
        r: &TxnRequest,
        leases: &dyn LeaseLookup,
    ) -> Result<TxnResponse, MvccError> {
        // The keys compared are mostly the keys written: read them once.
        for compare in r.compare.iter().filter(|c| c.range_end.is_empty()) {
            self.load(&compare.key)?;
        }
        let view = self.view();
        let path = Path::decide(&view, r)?;
        Checker::new(&view, leases).check(r, &mut path.steps())?;
        let mut response = self.execute_txn(r, &mut path.steps())?;
        response.header = Some(header(self.visible_revision()));
        self.seal();
        Ok(response)
    }

    /// Makes every revision below `rev` unreadable. Errors: compacted, future revision.
    pub fn compact(&mut self, rev: i64) -> Result<(), MvccError> {
        if rev <= self.position.compacted {
            return Err(MvccError::Compacted);
        }
        if rev > self.position.revision {
            return Err(MvccError::FutureRevision);
        }
        self.position.compacted = rev;
        Ok(())
    }

    /// Deletes the keys attached to a lease, in key order and one revision. Returns their number.
    pub fn delete_lease_keys(&mut self, lease: i64) -> Result<usize, MvccError> {
        let mut keys = attached_keys(&*self.mvcc.shared.engine, lease)?;
        if let Some(attached) = self.attached.remove(&lease) {
            keys.extend(attached);
            keys.sort_unstable();
            keys.dedup();
        }
        let mut deleted = 0;
        for key in keys {
            // The batch may have detached it.
            if self.load(&key)?.is_some_and(|r| r.lease == lease) {
                self.change(key, None)?;
                deleted += 1;
            }
        }
        self.seal();
        Ok(deleted)
    }

    /// Writes the batch: data, revision and the caller's records at once. Returns the events in
    /// revision order. Blocks while the engine has to catch up; who cannot afford that repeats
    /// [`Mvcc::write`] with what [`Apply::finish`] returns.
    pub fn commit(self) -> Result<Vec<RevisionEvents>, MvccError> {
        let (mvcc, sealed) = self.seal_batch();
        while let Err(e) = mvcc.write(&sealed) {
            match e {
                MvccError::Engine(EngineError::Stalled(_)) => std::thread::sleep(STALL_PAUSE),
                other => return Err(other),
            }
        }
        Ok(sealed.into_events())
    }

    /// Ends the batch without writing it: that is [`Mvcc::write`]'s part, which can be repeated.
    pub fn finish(self) -> Sealed {
        self.seal_batch().1
    }

    fn seal_batch(mut self) -> (&'a mut Mvcc<E>, Sealed) {
        for (key, slot) in self.overlay.iter() {
            match slot.change() {
                Some(Some(record)) => {
                    let value = [&record.header()[..], &record.value];
                    self.batch.put_parts(Cf::Live, &[key], &value);
                }
                Some(None) => self.batch.delete(Cf::Live, key),
                None => {}
            }
        }
        if self.position != self.mvcc.position {
            self.position.write(&mut self.batch);
        }
        let sealed = Sealed {
            batch: self.batch,
            overlay: self.overlay,
            position: self.position,
            events: self.done,
        };
        (self.mvcc, sealed)
    }

    /// The current revision as seen by the request under way.
    fn visible_revision(&self) -> i64 {
        self.position.revision + i64::from(!self.changes.is_empty())
    }

    fn view(&self) -> View<'_, E> {
        View {
            read: &*self.mvcc.shared.engine,
            overlay: Some(&self.overlay),
            engine_revision: self.mvcc.position.revision,
            revision: self.visible_revision(),
            compacted: self.position.compacted,
            latest: &*self.mvcc.shared,
            oldest_read: Cell::new(i64::MAX),
        }
    }

    /// The current record of a key, read from the engine at most once per batch.
    fn load(&mut self, key: &Bytes) -> Result<Option<&Record>, MvccError> {
        if self.overlay.slot(key).is_none() {
            let stored = self.mvcc.shared.engine.get(Cf::Live, key)?;
            let record = stored
                .map(|stored| Record::decode(stored, key))
                .transpose()?;
            self.overlay.learn(key.clone(), record);
        }
        Ok(self.overlay.slot(key).and_then(|slot| slot.current()))
    }

    /// `ignore_value` and `ignore_lease` have been checked.
    fn execute_put(&mut self, r: &PutRequest) -> Result<PutResponse, MvccError> {
        let old = self.load(&r.key)?.cloned();
        let revision = self.position.revision + 1;
        let record = Record {
            create: old.as_ref().map_or(revision, |old| old.create),
            modified: revision,
            version: old.as_ref().map_or(1, |old| old.version + 1),
            lease: match &old {
                Some(old) if r.ignore_lease => old.lease,
                _ => r.lease,
            },
            value: match &old {
                Some(old) if r.ignore_value => old.value.clone(),
                _ => r.value.clone(),
            },
        };
        let prev_kv = old
            .filter(|_| r.prev_kv && !has(Bug::MissedPrevKv))
            .map(|old| old.key_value(r.key.clone()));
        self.change(r.key.clone(), Some(record))?;
        Ok(PutResponse {
            header: Some(header(revision)),
            prev_kv,
        })
    }

    fn execute_delete(&mut self, r: &DeleteRangeRequest) -> Result<DeleteRangeResponse, MvccError> {
        let keys = match Span::new(&r.key, &r.range_end) {
            Span::Key(_) => match self.load(&r.key)? {
                Some(_) => vec![r.key.clone()],
                None => Vec::new(),
            },
            span => self.load_range(span)?,
        };
        let mut response = DeleteRangeResponse {
            deleted: i64::try_from(keys.len()).unwrap_or(i64::MAX),
            ..DeleteRangeResponse::default()
        };
        for key in keys {
            if r.prev_kv
                && let Some(record) = self.load(&key)?
            {
                let kv = record.key_value(key.clone());
                response.prev_kvs.push(kv);
            }
            self.change(key, None)?;
        }
        response.header = Some(header(self.visible_revision()));
        Ok(response)
    }

    /// The existing keys of a range, their records remembered.
    fn load_range(&mut self, span: Span<'_>) -> Result<Vec<Bytes>, MvccError> {
        let mut found = Vec::new();
        let view = self.view();
        view.visit(span, view.revision, &mut |key, record| {
            let known = self.overlay.slot(key).is_some();
            let record = (!known).then(|| record.to_owned());
            found.push((Bytes::copy_from_slice(key), record));
            ControlFlow::Continue(())
        })?;
        let mut keys = Vec::with_capacity(found.len());
        for (key, record) in found {
            if record.is_some() {
                self.overlay.learn(key.clone(), record);
            }
            keys.push(key);
        }
        Ok(keys)
    }

    fn execute_txn(
        &mut self,
        txn: &TxnRequest,
        steps: &mut Steps<'_>,
    ) -> Result<TxnResponse, MvccError> {
        let succeeded = steps.next();
        let ops = branch(txn, succeeded);
        let mut responses = Vec::with_capacity(ops.len());
        for op in ops {
            responses.push(ResponseOp {
                response: self.execute_op(op, steps)?,
            });
            if has(Bug::NonAtomicRevision) {
                self.seal();
            }
        }
        Ok(TxnResponse {
            header: Some(nested_header()),
            succeeded,
            responses,
        })
    }

    fn execute_op(
        &mut self,
        op: &RequestOp,
        steps: &mut Steps<'_>,
    ) -> Result<Option<Response>, MvccError> {
        Ok(match &op.request {
            Some(Request::RequestRange(r)) => {
                Some(Response::ResponseRange(range(&self.view(), r)?))
            }
            Some(Request::RequestPut(r)) => Some(Response::ResponsePut(self.execute_put(r)?)),
            Some(Request::RequestDeleteRange(r)) => {
                Some(Response::ResponseDeleteRange(self.execute_delete(r)?))
            }
            Some(Request::RequestTxn(r)) => {
                Some(Response::ResponseTxn(self.execute_txn(r, steps)?))
            }
            None => None,
        })
    }

    /// Sets or deletes a key in the revision under way: history, lease attachments and overlay.
    fn change(&mut self, key: Bytes, record: Option<Record>) -> Result<(), MvccError> {
        let revision = self.position.revision + 1;
        let old = self.load(&key)?.cloned();
        if let Some(old) = &old
            && old.modified < revision
        {
            let hist_key = keys::hist_key(&key, old.modified);
            let value = [&revision.to_be_bytes()[..], &old.header(), &old.value];
            self.batch.put_parts(Cf::Hist, &[&hist_key], &value);
        }
        let lease_of = |r: &Option<Record>| r.as_ref().map_or(0, |r| r.lease);
        self.attach(&key, lease_of(&old), lease_of(&record));

        let touched = |old: &Record| old.modified == revision;
        let before = match self.first_change(&key) {
            Some(change) => change.before.clone(),
            None => old.filter(|old| !touched(old)),
        };
        if let Some(slot) = self.overlay.slot_mut(&key) {
            slot.set(revision, record.clone());
        }
        self.changes.push(Change {
            key,
            record,
            before,
        });
        Ok(())
    }

    /// The first change of `key` in the revision under way. Only a from-key delete can lead to a second.
    fn first_change(&self, key: &[u8]) -> Option<&Change> {
        self.overlay
            .slot(key)
            .filter(|slot| slot.changed_at(self.position.revision + 1))?;
        self.changes.iter().find(|change| change.key == key)
    }

    fn attach(&mut self, key: &Bytes, old: i64, new: i64) {
        if old == new {
            return;
        }
        if old != 0 {
            let prefix = keys::attachment_prefix(old);
            self.batch.delete_parts(Cf::Lease, &[&prefix, key]);
        }
        if new != 0 {
            let prefix = keys::attachment_prefix(new);
            self.batch.put_parts(Cf::Lease, &[&prefix, key], &[]);
            self.attached.entry(new).or_default().insert(key.clone());
        }
    }

    /// Whether a value too large for the log was superseded within its revision, so that neither `live`
    /// nor `hist` will hold it.
    fn is_gone(&self, change: &Change) -> bool {
        change.record.as_ref().is_some_and(|record| {
            record.value.len() > LOG_INLINE_VALUE_BYTES_MAX
                && self.overlay.slot(&change.key).and_then(Slot::current) != Some(record)
        })
    }

    /// Ends the revision under way, if anything was changed: its events are logged and kept.
    fn seal(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        self.position.revision += 1;
        let revision = self.position.revision;
        let changes = std::mem::take(&mut self.changes);
        let mut events = Vec::with_capacity(changes.len());
        for (sub, change) in (0u32..).zip(changes) {
            let gone = self.is_gone(&change);
            log::write(
                &mut self.batch,
                &keys::log_key(revision, sub),
                &change.key,
                change.previous().map_or(0, |r| r.modified),
                change.record.as_ref(),
                gone,
            );
            events.push(event(revision, change));
        }
        self.done.push(RevisionEvents { revision, events });
    }
}

fn event(revision: i64, change: Change) -> Event {
    let prev_kv = change
        .previous()
        .map(|record| record.key_value(change.key.clone()));
    let (kind, kv) = match &change.record {
        Some(record) => (EventType::Put, record.key_value(change.key)),
        None => (
            EventType::Delete,
            KeyValue {
                key: change.key,
                mod_revision: revision,
                ..KeyValue::default()
            },
        ),
    };
    Event {
        r#type: kind as i32,
        kv: Some(kv),
        prev_kv,
    }
}

/// The keys attached to a lease, in order.
pub(crate) fn attached_keys<R: Read + ?Sized>(
    read: &R,
    lease: i64,
) -> Result<Vec<Bytes>, MvccError> {
    let prefix = keys::attachment_prefix(lease);
    let end = keys::prefix_end(&prefix);
    let mut found = Vec::new();
    read.scan(
        Cf::Lease,
        &prefix,
        end.as_deref(),
        Direction::Ascending,
        &mut |stored, _| {
            found.push(Bytes::copy_from_slice(&stored[prefix.len()..]));
            ControlFlow::Continue(())
        },
    )?;
    Ok(found)
}
