//! A model of the log, and a log driven by hand beside it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test file uses a part of it"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use mainstay_wal::{Driver, Entry, LogId, MemDisk, Options, Recovered, Verdict, Wal, WalError};

pub const DIR: &str = "/data/wal";

pub fn options() -> Options {
    Options {
        segment_bytes: 2048,
        tail_bytes: 300,
        ..Options::default()
    }
}

pub fn segment(seq: u64) -> PathBuf {
    Path::new(DIR).join(format!("{seq:016x}.wal"))
}

/// Where the written part of a segment ends.
pub fn used(disk: &MemDisk, seq: u64) -> usize {
    let content = disk.content(&segment(seq)).unwrap();
    content
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| (at + 8) & !7)
}

pub fn id(term: u64, index: u64) -> LogId {
    LogId {
        term,
        leader: term % 3,
        index,
    }
}

pub fn entry(term: u64, index: u64, len: usize) -> Entry {
    let payload: Vec<u8> = (0..len)
        .map(|at| (at as u64 ^ index ^ (term << 4)) as u8)
        .collect();
    Entry {
        id: id(term, index),
        kind: (index % 5) as u8,
        payload: payload.into(),
    }
}

/// What a log should hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub entries: Vec<Entry>,
    pub purged: Option<LogId>,
    pub vote: Option<Bytes>,
}

impl Model {
    pub fn next(&self) -> u64 {
        let purged = self.purged.map_or(1, |id| id.index + 1);
        self.entries
            .last()
            .map_or(purged, |entry| entry.id.index + 1)
    }

    pub fn first(&self) -> u64 {
        self.entries
            .first()
            .map_or(self.next(), |entry| entry.id.index)
    }

    /// The same as read back from a log.
    pub fn of(wal: &Wal, recovered: &Recovered) -> Result<Self, WalError> {
        let state = wal.state();
        assert_eq!(state.purged, recovered.purged);
        assert_eq!(wal.vote(), recovered.vote);
        let entries = try_read_all(wal)?;
        assert_eq!(recovered.first, entries.first().map(|entry| entry.id));
        assert_eq!(recovered.last, entries.last().map(|entry| entry.id));
        for entry in &entries {
            assert_eq!(wal.log_id(entry.id.index).unwrap(), Some(entry.id));
        }
        Ok(Self {
            entries,
            purged: recovered.purged,
            vote: recovered.vote.clone(),
        })
    }
}

pub fn read_all(wal: &Wal) -> Vec<Entry> {
    try_read_all(wal).unwrap()
}

fn try_read_all(wal: &Wal) -> Result<Vec<Entry>, WalError> {
    let state = wal.state();
    let mut entries: Vec<Entry> = Vec::new();
    let mut at = state.first_index;
    while at < state.next_index {
        let some = wal.read(at..state.next_index, 200)?;
        assert!(!some.is_empty(), "entry {at} is missing");
        for entry in some {
            assert_eq!(entry.id.index, at);
            at += 1;
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// One step of a script.
#[derive(Debug, Clone)]
pub enum Op {
    Append {
        count: usize,
        len: usize,
    },
    Vote(u8),
    Committed,
    /// Drops that many entries at the end (and moves to a new term).
    Truncate(usize),
    /// Forgets that many entries at the beginning.
    Purge(usize),
    /// Forgets everything and that many indexes beyond.
    PurgeBeyond(u64),
    Step,
    Keep,
}

/// A log driven by hand, and what it should hold after each accepted call.
pub struct Run {
    pub wal: Wal,
    pub driver: Driver,
    pub recovered: Recovered,
    pub term: u64,
    /// State after each call; the first is the state at open.
    pub history: Vec<Model>,
    /// How many calls were acknowledged.
    pub acknowledged: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
}

pub fn open(disk: &MemDisk) -> Result<Run, WalError> {
    open_with(disk, options())
}

pub fn open_with(disk: &MemDisk, options: Options) -> Result<Run, WalError> {
    let failed = Arc::new(AtomicUsize::new(0));
    let counter = failed.clone();
    let on_fatal = Box::new(move |_: &_| {
        counter.fetch_add(1, SeqCst);
    });
    let (wal, driver, recovered) =
        Wal::open_manual(disk.clone(), Path::new(DIR), options, on_fatal)?;
    let model = Model::of(&wal, &recovered)?;
    let term = model.entries.last().map_or(1, |entry| entry.id.term);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    Ok(Run {
        wal,
        driver,
        recovered,
        term,
        history: vec![model],
        acknowledged,
        failed,
    })
}

impl Run {
    pub fn model(&self) -> &Model {
        self.history.last().unwrap()
    }

    pub fn failures(&self) -> usize {
        self.failed.load(SeqCst)
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(SeqCst)
    }

    /// The states the log may be in after a crash.
    pub fn possible(&self) -> &[Model] {
        &self.history[self.acknowledged()..]
    }

    fn done(&self) -> mainstay_wal::Done {
        let (number, counter) = (self.history.len(), self.acknowledged.clone());
        Box::new(move |result| {
            if result.is_ok() {
                assert_eq!(counter.swap(number, SeqCst), number - 1, "out of order");
            }
        })
    }

    pub fn append(&mut self, count: usize, len: usize) {
        let mut model = self.model().clone();
        let next = model.next();
        let entries: Vec<Entry> = (next..)
            .take(count)
            .map(|index| entry(self.term, index, len))
            .collect();
        if self.wal.append(entries.clone(), self.done()).is_ok() {
            model.entries.extend(entries);
            self.history.push(model);
        }
    }

    pub fn vote(&mut self, vote: u8) {
        let mut model = self.model().clone();
        model.vote = Some(vec![vote; usize::from(vote)].into());
        self.wal.save_vote(model.vote.clone().unwrap(), self.done());
        self.history.push(model);
    }

    pub fn truncate(&mut self, count: usize) {
        let mut model = self.model().clone();
        let keep = model.entries.len().saturating_sub(count);
        model.entries.truncate(keep);
        self.term += 1;
        let last = model.entries.last().map(|entry| entry.id.index);
        self.wal.truncate_after(last, self.done());
        self.history.push(model);
    }

    pub fn purge(&mut self, upto: LogId) {
        let mut model = self.model().clone();
        model.entries.retain(|entry| entry.id.index > upto.index);
        model.purged = Some(upto);
        self.wal.purge(upto, self.done());
        self.history.push(model);
    }

    pub fn play(&mut self, op: &Op) {
        match op {
            Op::Append { count, len } => self.append(*count, *len),
            Op::Vote(vote) => self.vote(*vote),
            Op::Committed => {
                if let Some(entry) = self.model().entries.last() {
                    self.wal.save_committed(entry.id);
                }
            }
            Op::Truncate(count) => self.truncate(*count),
            Op::Purge(count) => {
                let entries = &self.model().entries;
                if let Some(entry) = entries.get(count.saturating_sub(1)).or(entries.last()) {
                    self.purge(entry.id);
                }
            }
            Op::PurgeBeyond(beyond) => self.purge(id(self.term, self.model().next() + beyond)),
            Op::Step => {
                let _ = self.driver.step();
            }
            Op::Keep => {
                let _ = self.driver.keep();
            }
        }
        if self.failures() == 0 {
            let model = self.model();
            assert_eq!(self.wal.state().next_index.max(1), model.next());
            match try_read_all(&self.wal) {
                Ok(entries) => assert_eq!(entries, model.entries),
                // The power is gone.
                Err(WalError::Io { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// Makes everything durable.
    pub fn settle(&mut self) {
        while self.driver.step().unwrap() {}
        self.driver.keep().unwrap();
    }
}

pub fn is_damaged(recovered: &Recovered) -> bool {
    matches!(recovered.verdict, Verdict::Damaged(_))
}

/// Nothing in `found` was made up: every entry was accepted at some time.
pub fn assert_known(found: &Model, history: &[Model]) {
    for entry in &found.entries {
        let known = history.iter().any(|model| model.entries.contains(entry));
        assert!(known, "entry {:?} was invented", entry.id);
    }
    if found.vote.is_some() {
        assert!(
            history.iter().any(|model| model.vote == found.vote),
            "the vote was invented"
        );
    }
}
