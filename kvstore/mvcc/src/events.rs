//! Reading past events, for watchers that are behind.

use crate::apply::RevisionEvents;
use crate::arena::Arena;
use crate::log::{LogRecord, LoggedPut};
use crate::record::RecordRef;
use crate::store::Position;
use crate::{MvccError, Reader, keys};
use bytes::Bytes;
use mainstay_engine::{Cf, Direction, Engine, Read};
use mainstay_proto::mvccpb::event::EventType;
use mainstay_proto::mvccpb::{Event, KeyValue};

impl<E: Engine> Reader<E> {
    /// The events from `from_rev` on: whole revisions, at most `max_revisions` of them (at least one is
    /// returned if there is one), ending after the one that reaches `max_bytes` of keys and values.
    /// Continue after the last revision returned; empty means that there is nothing newer.
    /// `prev_kv` is filled except where the revision before the event is compacted.
    /// Error: compacted, if `from_rev` lies below the compacted revision.
    pub fn events(
        &self,
        from_rev: i64,
        max_revisions: usize,
        max_bytes: usize,
    ) -> Result<Vec<RevisionEvents>, MvccError> {
        self.events_opt(from_rev, max_revisions, max_bytes, true)
    }

    /// Like [`Reader::events`], with the look-ups for `prev_kv` only if `with_prev`.
    pub fn events_opt(
        &self,
        from_rev: i64,
        max_revisions: usize,
        max_bytes: usize,
        with_prev: bool,
    ) -> Result<Vec<RevisionEvents>, MvccError> {
        let snapshot = self.shared.engine.snapshot();
        let position = Position::read(&snapshot)?;
        if from_rev < position.compacted {
            return Err(MvccError::Compacted);
        }
        let mut catch_up = CatchUp {
            read: &snapshot,
            compacted: position.compacted,
            with_prev,
            arena: Arena::default(),
        };
        let result = catch_up.collect(from_rev, max_revisions.max(1), max_bytes);
        if self.shared.compacted() > from_rev {
            // Events and records may have been dropped under the snapshot.
            return Err(MvccError::Compacted);
        }
        if self.shared.compacted() != position.compacted && result.is_err() {
            // Compacted at `from_rev` itself meanwhile: only previous values can be missing.
            catch_up.compacted = self.shared.compacted();
            return catch_up.collect(from_rev, max_revisions.max(1), max_bytes);
        }
        result
    }
}

struct CatchUp<'a, R> {
    read: &'a R,
    compacted: i64,
    with_prev: bool,
    arena: Arena,
}

impl<R: Read> CatchUp<'_, R> {
    fn collect(
        &mut self,
        from_rev: i64,
        max_revisions: usize,
        max_bytes: usize,
    ) -> Result<Vec<RevisionEvents>, MvccError> {
        let start = keys::log_key(from_rev.max(0), 0);
        let mut cursor = self
            .read
            .cursor(Cf::Log, &start, None, Direction::Ascending)?;
        let mut out: Vec<RevisionEvents> = Vec::new();
        let mut bytes = 0;
        while let Some((key, stored)) = cursor.item() {
            let full = out.len() >= max_revisions || bytes >= max_bytes;
            let (revision, _) = keys::split_log(key)?;
            let event = self.event(revision, LogRecord::decode(stored)?)?;
            let size =
                event.kv.as_ref().map_or(0, kv_bytes) + event.prev_kv.as_ref().map_or(0, kv_bytes);
            match out.last_mut() {
                Some(last) if last.revision == revision => last.events.push(event),
                Some(_) if full => break,
                _ => out.push(RevisionEvents {
                    revision,
                    events: vec![event],
                }),
            }
            bytes += size;
            cursor.advance()?;
        }
        Ok(out)
    }

    fn event(&mut self, revision: i64, record: LogRecord<'_>) -> Result<Event, MvccError> {
        let key = self.arena.copy(record.key);
        let prev_kv = self.previous(revision, &key, record.prev_modified)?;
        let (kind, kv) = match record.put {
            Some(put) => (EventType::Put, self.put(revision, key, put)?),
            None => (
                EventType::Delete,
                KeyValue {
                    key,
                    mod_revision: revision,
                    ..KeyValue::default()
                },
            ),
        };
        Ok(Event {
            r#type: kind as i32,
            kv: Some(kv),
            prev_kv,
        })
    }

    fn put(
        &mut self,
        revision: i64,
        key: Bytes,
        put: LoggedPut<'_>,
    ) -> Result<KeyValue, MvccError> {
        let value = match put.value {
            Some(value) => self.arena.copy(value),
            None => self.large_value(revision, &key)?,
        };
        Ok(KeyValue {
            key,
            create_revision: put.create,
            mod_revision: revision,
            version: put.version,
            value,
            lease: put.lease,
        })
    }

    /// The value of a record that is too large for the log.
    fn large_value(&mut self, revision: i64, key: &[u8]) -> Result<Bytes, MvccError> {
        if let Some(stored) = self.read.get(Cf::Live, key)? {
            let record = crate::record::Record::decode(stored, key)?;
            if record.modified == revision {
                return Ok(record.value);
            }
        }
        let stored = self.read.get(Cf::Hist, &keys::hist_key(key, revision))?;
        let stored = stored.ok_or_else(|| MvccError::corrupt("missing value", key))?;
        let (_, record) = RecordRef::decode_hist(&stored, key)?;
        Ok(stored.slice_ref(record.value))
    }

    /// The record one revision before, which `revision` superseded.
    fn previous(
        &mut self,
        revision: i64,
        key: &Bytes,
        modified: i64,
    ) -> Result<Option<KeyValue>, MvccError> {
        if !self.with_prev || modified == 0 || revision <= self.compacted {
            return Ok(None);
        }
        let stored = self.read.get(Cf::Hist, &keys::hist_key(key, modified))?;
        let stored = stored.ok_or_else(|| MvccError::corrupt("missing previous record", key))?;
        let (_, record) = RecordRef::decode_hist(&stored, key)?;
        Ok(Some(KeyValue {
            key: key.clone(),
            create_revision: record.create,
            mod_revision: record.modified,
            version: record.version,
            value: stored.slice_ref(record.value),
            lease: record.lease,
        }))
    }
}

fn kv_bytes(kv: &KeyValue) -> usize {
    kv.key.len() + kv.value.len()
}
