//! The only writer of segments: takes all that queued, writes it once, syncs it once, answers.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::disk::DiskFile;
use crate::entry::LogId;
use crate::error::WalError;
use crate::limits::{COPY_PAYLOAD_BYTES_MAX, FULL_RETRY_MS};
use crate::places::Place;
use crate::queue::{Effect, Operation, Staging};
use crate::record::{
    Checkpoint, Kind, RECORD_HEADER_BYTES, SEGMENT_HEAD_BYTES_MAX, SegmentHead, padding, put,
    record_bytes, salt, seal, staged,
};
use crate::segments::is_full;
use crate::shared::{Shared, answer_all};
use crate::witness::Known;
use mainstay_planted::{Bug, has};

/// The segment being written.
pub(crate) struct Current {
    pub(crate) seq: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) bytes: u64,
    /// Where the next record goes.
    pub(crate) end: u64,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    wal_id: u64,
    current: Current,
    salt: u32,
    /// Number of the next batch.
    batch: u64,
    /// What is durable, besides the entries.
    state: Checkpoint,
    /// Newest committed id that rides along with the next batch.
    committed: Option<LogId>,
    /// Header of a segment that was begun and not yet written.
    head: Vec<u8>,
    rider: Vec<u8>,
    staging: Staging,
    /// Operations of `staging` that are done.
    done: usize,
    /// A group that was sealed and then found no room on the disk: written again, byte for byte.
    held: Option<Group>,
    /// Offsets of the entries of the group being written.
    offsets: Vec<u32>,
}

/// Operations `operations` with their records and large payloads: what goes to disk at once.
struct Group {
    operations: std::ops::Range<usize>,
    staged: std::ops::Range<usize>,
    large: std::ops::Range<usize>,
    bytes: usize,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        wal_id: u64,
        current: Current,
        batch: u64,
        state: Checkpoint,
    ) -> Self {
        let salt = salt(wal_id, current.seq);
        Self {
            shared,
            wal_id,
            current,
            salt,
            batch,
            state,
            committed: None,
            head: Vec::with_capacity(SEGMENT_HEAD_BYTES_MAX),
            rider: Vec::with_capacity(RECORD_HEADER_BYTES),
            staging: Staging::default(),
            done: 0,
            held: None,
            offsets: Vec::new(),
        }
    }

    /// Serves the queue until the log is closed or fails.
    pub(crate) fn run(&mut self) {
        loop {
            {
                let mut queue = self.shared.queue.lock();
                while queue.staging.is_empty() && self.staging.is_empty() && !queue.closing {
                    self.shared.work.wait(&mut queue);
                }
            }
            // Failures (also the keeper's) are answered inside.
            match self.step() {
                Ok(true) => {}
                Err(WalError::Full) if self.pause() => {}
                Ok(false) | Err(_) => return,
            }
        }
    }

    /// Waits a little for room on the disk. False if the log is being closed: then nobody waits longer.
    fn pause(&mut self) -> bool {
        let mut queue = self.shared.queue.lock();
        if !queue.closing {
            let pause = Duration::from_millis(FULL_RETRY_MS);
            self.shared.room.wait_for(&mut queue, pause);
            return true;
        }
        drop(queue);
        answer_all(&mut self.staging, &WalError::Full);
        self.shared.fail(WalError::Full);
        false
    }

    /// Makes everything queued so far durable. False if there was nothing. When the disk is full
    /// (`WalError::Full`) nothing has failed: what is left is kept, and the next step goes on with it.
    pub(crate) fn step(&mut self) -> Result<bool, WalError> {
        self.shared.failure()?;
        if self.staging.is_empty() {
            let mut queue = self.shared.queue.lock();
            if queue.staging.is_empty() {
                return Ok(false);
            }
            std::mem::swap(&mut queue.staging, &mut self.staging);
            queue.in_flight_bytes = self.staging.total;
            queue.in_flight_since = self.staging.oldest;
        }
        let result = self.write_queued();
        let full = matches!(result, Err(WalError::Full));
        self.shared.full.store(full, Relaxed);
        if full {
            return Err(WalError::Full);
        }
        if let Err(error) = &result {
            answer_all(&mut self.staging, error);
            self.shared.fail(error.clone());
        }
        self.staging.clear();
        self.done = 0;
        result.map(|()| true)
    }

    /// Writes what only rides along, and brings the witness to disk. The queue is empty.
    pub(crate) fn finish(&mut self) -> Result<(), WalError> {
        while self.step()? {}
        let committed = self.shared.queue.lock().staging.committed.take();
        if let Some(id) = committed.or(self.committed.take()) {
            let done = Box::new(|_| {});
            let mut queue = self.shared.queue.lock();
            queue
                .staging
                .record(Kind::Committed, 0, &id, &[], Effect::Nothing, done);
            drop(queue);
            self.step()?;
        }
        let synced = self
            .shared
            .witness
            .update(&self.known())
            .and_then(|_| self.shared.witness.sync());
        let synced = synced.map_err(|error| WalError::failed("syncing the witness", error));
        synced
            .map(|_| ())
            .inspect_err(|error| self.shared.fail(error.clone()))
    }

    fn write_queued(&mut self) -> Result<(), WalError> {
        self.committed = self.staging.committed.take().or(self.committed);
        while self.done < self.staging.operations.len() {
            let group = match self.held.take() {
                Some(group) => group,
                None => {
                    let group = self.fit(self.done);
                    if group.operations.is_empty() {
                        self.begin_segment(self.staging.operations[self.done].bytes)?;
                        continue;
                    }
                    if group.bytes > 0 {
                        self.seal_group(&group);
                    }
                    group
                }
            };
            let written = self.write_group(&group);
            if matches!(written, Err(WalError::Full)) {
                self.held = Some(group);
                return written;
            }
            written?;
            self.done = group.operations.end;
        }
        Ok(())
    }

    /// The operations from `from` on that still fit into the current segment.
    fn fit(&self, from: usize) -> Group {
        let operations = &self.staging.operations;
        let start = match from.checked_sub(1) {
            Some(before) => (operations[before].staged_end, operations[before].large_end),
            None => (0, 0),
        };
        let taken = self.current.end as usize + self.head.len() + RECORD_HEADER_BYTES;
        let room = (self.current.bytes as usize).saturating_sub(taken);
        let mut group = Group {
            operations: from..from,
            staged: start.0..start.0,
            large: start.1..start.1,
            bytes: 0,
        };
        for operation in &operations[from..] {
            if operation.bytes > 0 && group.bytes + operation.bytes > room {
                break;
            }
            group.bytes += operation.bytes;
            group.operations.end += 1;
            group.staged.end = operation.staged_end;
            group.large.end = operation.large_end;
        }
        group
    }

    /// Moves on to the next segment; its header is written with the first batch in it.
    fn begin_segment(&mut self, need: usize) -> Result<(), WalError> {
        let storage = &self.shared.storage;
        let need = (need + SEGMENT_HEAD_BYTES_MAX + RECORD_HEADER_BYTES) as u64;
        let seq = self.current.seq + 1;
        let next = self
            .shared
            .pool
            .take(storage, seq, need.max(storage.segment_bytes));
        let next = next.map_err(|error| failed_or_full("beginning a segment", error))?;
        let head = SegmentHead {
            wal_id: self.wal_id,
            seq,
            prev_seq: self.current.seq,
            prev_end: self.current.end,
            fresh: next.fresh,
            state: self.state.clone(),
        };
        self.head.clear();
        head.encode(&mut self.head);
        self.salt = salt(self.wal_id, seq);
        self.current = Current {
            seq,
            file: next.file.clone(),
            bytes: next.bytes,
            end: 0,
        };
        let mut view = self.shared.view.write();
        view.places
            .begin_segment(seq, self.salt, next.file, next.bytes);
        self.shared.counters.began_segment();
        Ok(())
    }

    fn write_group(&mut self, group: &Group) -> Result<(), WalError> {
        let began = !self.head.is_empty();
        if group.bytes > 0 {
            self.commit_group(group)?;
        }
        let retired = self.take_effect(group);
        {
            let mut queue = self.shared.queue.lock();
            queue.in_flight_bytes = queue.in_flight_bytes.saturating_sub(group.bytes);
            if group.operations.end == self.staging.operations.len() {
                queue.in_flight_since = None;
            }
        }
        for operation in &mut self.staging.operations[group.operations.clone()] {
            if let Some(done) = operation.done.take() {
                done(Ok(()));
            }
        }
        if group.bytes > 0 {
            let written = self.shared.witness.update(&self.known());
            if written.map_err(|error| WalError::failed("writing the witness", error))? {
                self.shared.witness_became_dirty();
            }
        }
        self.shared
            .add_chores(retired, began.then_some(self.current.seq + 1));
        Ok(())
    }

    /// Gives all records of the group their salt, batch and end mark, and notes their offsets.
    fn seal_group(&mut self, group: &Group) {
        let (salt, batch) = (self.salt, self.batch);
        if !self.head.is_empty() {
            seal(&mut self.head, salt, batch, false);
        }
        self.rider.clear();
        let last_of_all = group.operations.end == self.staging.operations.len();
        if let Some(id) = self.committed.take_if(|_| last_of_all) {
            put(&mut self.rider, Kind::Committed, 0, &id, &[]);
            seal(&mut self.rider, salt, batch, true);
            self.state.committed = Some(id);
        }
        self.offsets.clear();
        let mut offset = self.current.end as usize + self.head.len();
        let mut at = group.staged.start;
        while at < group.staged.end {
            let record = &mut self.staging.bytes[at..];
            let (is_entry, len) = staged(record);
            let apart = is_entry && len > COPY_PAYLOAD_BYTES_MAX;
            at += RECORD_HEADER_BYTES + if apart { 0 } else { len } + padding(len);
            seal(
                record,
                salt,
                batch,
                at == group.staged.end && self.rider.is_empty(),
            );
            if is_entry {
                self.offsets.push(offset as u32);
            }
            offset += record_bytes(len);
        }
    }

    /// One write, one sync. A write that finds no room may have written a part: as long as nothing follows
    /// it, that is a torn end, and the next attempt writes over it.
    fn commit_group(&mut self, group: &Group) -> Result<(), WalError> {
        let bytes = self.head.len() + group.bytes + self.rider.len();
        let mut gather = Vec::with_capacity(3 + 2 * group.large.len());
        if !self.head.is_empty() {
            gather.push(IoSlice::new(&self.head));
        }
        let mut at = group.staged.start;
        for (position, payload) in &self.staging.large[group.large.clone()] {
            gather.push(IoSlice::new(&self.staging.bytes[at..*position]));
            gather.push(IoSlice::new(payload));
            at = *position;
        }
        gather.push(IoSlice::new(&self.staging.bytes[at..group.staged.end]));
        if !self.rider.is_empty() {
            gather.push(IoSlice::new(&self.rider));
        }
        debug_assert_eq!(gather.iter().map(|part| part.len()).sum::<usize>(), bytes);
        debug_assert!(self.current.end + bytes as u64 <= self.current.bytes);
        let written = self.current.file.write_at(&gather, self.current.end);
        drop(gather);
        written.map_err(|error| failed_or_full("writing the log", error))?;
        let start = Instant::now();
        let synced = match has(Bug::AckBeforeFsync) {
            true => Ok(()),
            false => self.shared.storage.sync(&*self.current.file),
        };
        synced.map_err(|error| WalError::failed("syncing the log", error))?;
        self.shared.counters.synced(start.elapsed());
        self.shared
            .counters
            .wrote(bytes as u64, self.offsets.len() as u64);
        self.current.end += bytes as u64;
        self.batch += 1;
        self.head.clear();
        Ok(())
    }

    /// The group is durable: tells the view. Returns segments that became superfluous.
    fn take_effect(&mut self, group: &Group) -> Vec<Place> {
        let mut retired = Vec::new();
        let mut offsets = self.offsets.as_slice();
        let mut view = self.shared.view.write();
        view.places.set_end(self.current.end);
        for Operation { effect, .. } in &self.staging.operations[group.operations.clone()] {
            match effect {
                Effect::Append { first, last, epoch } => {
                    let (these, rest) = offsets.split_at((last.index - first + 1) as usize);
                    offsets = rest;
                    view.places.push(*first, these);
                    view.set_durable(last.index + 1, *epoch);
                    self.state.last = Some(*last);
                }
                Effect::Truncate { next, last, epoch } => {
                    view.places.truncate(*next);
                    view.set_durable(*next, *epoch);
                    self.state.last = *last;
                }
                Effect::Purge { upto, last } => {
                    retired.extend(view.places.purge(upto.index));
                    self.state.purged = Some(*upto);
                    self.state.last = *last;
                }
                Effect::Vote(vote) => self.state.vote = Some(vote.clone()),
                Effect::Repaired => self.state.damage = None,
                Effect::Nothing => {}
            }
        }
        self.offsets.clear();
        retired
    }

    fn known(&self) -> Known {
        Known {
            wal_id: self.wal_id,
            seq: self.current.seq,
            batch: self.batch - 1,
            state: self.state.clone(),
        }
    }
}

fn failed_or_full(op: &'static str, error: io::Error) -> WalError {
    if is_full(&error) {
        WalError::Full
    } else {
        WalError::failed(op, error)
    }
}
