//! The log as callers see it: everything accepted so far, durable or not.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::entry::{Entry, LogId};
use crate::error::WalError;
use crate::places::Places;

/// Consecutive entries of one term and leader, from `first` to the next run.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: u64,
    term: u64,
    leader: u64,
}

/// Log ids of all entries present, and the recent entries themselves.
pub(crate) struct View {
    pub(crate) purged: Option<LogId>,
    pub(crate) committed: Option<LogId>,
    pub(crate) vote: Option<Bytes>,
    /// Entries `first..next` are present.
    first: u64,
    next: u64,
    /// An empty log that never purged anything may start at any index.
    anywhere: bool,
    runs: VecDeque<Run>,
    /// The newest entries, up to `next`.
    tail: VecDeque<Entry>,
    tail_bytes: usize,
    tail_bytes_max: usize,
    /// Tail entries below this index are durable and may be forgotten.
    durable_next: u64,
    /// Counts truncations: an older append that becomes durable later says nothing about entries
    /// accepted since.
    pub(crate) epoch: u64,
    pub(crate) places: Places,
}

impl View {
    pub(crate) fn new(tail_bytes_max: usize) -> Self {
        Self {
            purged: None,
            committed: None,
            vote: None,
            first: 0,
            next: 0,
            anywhere: true,
            runs: VecDeque::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_bytes_max,
            durable_next: 0,
            epoch: 0,
            places: Places::default(),
        }
    }

    /// Restarts as an empty log that continues after `last` (recovery, at a segment's header).
    pub(crate) fn restart_after(&mut self, purged: Option<LogId>, last: Option<LogId>) {
        self.purged = purged;
        self.runs.clear();
        self.anywhere = last.is_none();
        self.first = last.map_or(0, |id| id.index + 1);
        self.next = self.first;
        self.durable_next = self.first;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first == self.next
    }

    /// Indexes present.
    pub(crate) fn range(&self) -> Range<u64> {
        self.first..self.next
    }

    /// The last entry, or what was purged last.
    pub(crate) fn last(&self) -> Option<LogId> {
        if self.is_empty() {
            self.purged
        } else {
            self.id(self.next - 1)
        }
    }

    pub(crate) fn first(&self) -> Option<LogId> {
        if self.is_empty() {
            None
        } else {
            self.id(self.first)
        }
    }

    /// The id of an entry that is present, or of the one purged last.
    pub(crate) fn id(&self, index: u64) -> Option<LogId> {
        if let Some(purged) = self.purged.filter(|id| id.index == index) {
            return Some(purged);
        }
        if !self.range().contains(&index) {
            return None;
        }
        let run = self.runs[self
            .runs
            .partition_point(|run| run.first <= index)
            .checked_sub(1)?];
        Some(LogId {
            term: run.term,
            leader: run.leader,
            index,
        })
    }

    /// Whether `index` continues the log.
    pub(crate) fn check_next(&self, index: u64) -> Result<(), WalError> {
        if index == u64::MAX || (index != self.next && !self.anywhere) {
            return Err(WalError::Gap {
                expected: self.next,
                got: index,
            });
        }
        Ok(())
    }

    /// Adds an id that continues the log.
    pub(crate) fn push_id(&mut self, id: &LogId) {
        if self.anywhere {
            self.anywhere = false;
            self.first = id.index;
            self.durable_next = id.index;
        }
        self.next = id.index + 1;
        let same = |run: &Run| run.term == id.term && run.leader == id.leader;
        if !self.runs.back().is_some_and(same) {
            self.runs.push_back(Run {
                first: id.index,
                term: id.term,
                leader: id.leader,
            });
        }
    }

    /// Adds an entry that continues the log.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.push_id(&entry.id);
        self.tail_bytes += tail_cost(&entry);
        self.tail.push_back(entry);
    }

    /// Drops everything after `last_kept` (everything not purged for `None`); returns the index
    /// that comes next.
    pub(crate) fn truncate_after(&mut self, last_kept: Option<u64>) -> u64 {
        let next = last_kept.map_or(self.first, |kept| kept.saturating_add(1));
        let next = next.clamp(self.first, self.next);
        if next == self.next {
            return next;
        }
        self.epoch += 1;
        self.next = next;
        self.durable_next = self.durable_next.min(next);
        while self.tail.back().is_some_and(|entry| entry.id.index >= next) {
            let gone = self.tail.pop_back();
            self.tail_bytes -= gone.as_ref().map_or(0, tail_cost);
        }
        while self.runs.back().is_some_and(|run| run.first >= next) {
            self.runs.pop_back();
        }
        self.anywhere = self.is_empty() && self.purged.is_none();
        next
    }

    /// For recovery: like `truncate_after`, but may reach below the entries that are present,
    /// whose segments are gone because they were purged (as a later record will tell).
    pub(crate) fn rewind(&mut self, next: u64) {
        if next < self.first && self.purged.is_none_or(|id| next > id.index) {
            let purged = self.purged;
            self.restart_after(purged, purged);
            self.anywhere = false;
            self.first = next;
            self.next = next;
            self.durable_next = next;
        } else {
            self.truncate_after(next.checked_sub(1));
        }
    }

    /// Drops everything up to `upto`, which may lie beyond the last entry. False if it was purged
    /// before.
    pub(crate) fn purge(&mut self, upto: LogId) -> bool {
        if upto.index == u64::MAX || self.purged.is_some_and(|id| id.index >= upto.index) {
            return false;
        }
        self.purged = Some(upto);
        self.anywhere = false;
        let first = upto.index + 1;
        self.first = self.first.max(first);
        if self.next < first {
            // A hole: whatever is still on its way to disk is not part of the log any more.
            self.epoch += 1;
            self.next = first;
        }
        self.durable_next = self.durable_next.max(first);
        while self
            .tail
            .front()
            .is_some_and(|entry| entry.id.index < first)
        {
            let gone = self.tail.pop_front();
            self.tail_bytes -= gone.as_ref().map_or(0, tail_cost);
        }
        while self.runs.get(1).is_some_and(|run| run.first <= first) {
            self.runs.pop_front();
        }
        if self.is_empty() {
            self.runs.clear();
        }
        true
    }

    /// Entries below `next` are durable, as seen by an operation accepted in `epoch`.
    pub(crate) fn set_durable(&mut self, next: u64, epoch: u64) {
        if epoch == self.epoch {
            self.durable_next = self.durable_next.max(next.min(self.next));
        }
        while self.tail_bytes > self.tail_bytes_max {
            match self.tail.front() {
                Some(entry) if entry.id.index < self.durable_next => {
                    self.tail_bytes -= tail_cost(entry);
                    self.tail.pop_front();
                }
                _ => break,
            }
        }
    }

    /// First index that can be served from memory.
    pub(crate) fn tail_first(&self) -> u64 {
        self.next - self.tail.len() as u64
    }

    /// Entries of `range` (all in the tail) within `budget` bytes, at least one.
    pub(crate) fn tail_entries(&self, range: Range<u64>, budget: usize) -> Vec<Entry> {
        let from = (range.start - self.tail_first()) as usize;
        let until = (range.end - self.tail_first()) as usize;
        let mut bytes = 0;
        let mut count = 0;
        for entry in self.tail.range(from..until) {
            bytes += crate::codec::encoded_bytes(entry);
            if bytes > budget && count > 0 {
                break;
            }
            count += 1;
        }
        self.tail.range(from..from + count).cloned().collect()
    }
}

fn tail_cost(entry: &Entry) -> usize {
    entry.payload.len() + size_of::<Entry>()
}
