//! Runs a sequence of steps against the reference, the store under test and a second store that gets
//! every request in a batch of its own and never drops anything.

use super::reference::{LEASES, Reference};
use super::steps::{Step, Write, resolve, resolve_txn};
use mainstay_engine::{Cf, Engine, MemEngine, Read};
use mainstay_mvcc::limits::CountLimits;
use mainstay_mvcc::{Apply, CountStats, LeaseLookup, Mvcc, MvccError, Reader, RevisionEvents};
use mainstay_proto::etcdserverpb::range_request::SortTarget;
use mainstay_proto::etcdserverpb::*;
use std::sync::Arc;

/// Where the engine under test lives.
pub(crate) trait Harness {
    type Engine: Engine;
    fn engine(&self) -> Arc<Self::Engine>;
    /// Closes and opens. Nobody holds the engine.
    fn restart(&mut self);
    /// Loses what was not flushed.
    fn crash(&mut self);
}

struct Leases;

impl LeaseLookup for Leases {
    fn exists(&self, id: i64) -> bool {
        LEASES.contains(&id)
    }
}

/// The answer to a write, of whatever kind.
#[derive(Debug, PartialEq)]
enum Answer {
    Put(Result<PutResponse, MvccError>),
    Delete(Result<DeleteRangeResponse, MvccError>),
    Txn(Result<TxnResponse, MvccError>),
    Revoke(usize),
    Compact(Result<(), MvccError>),
}

/// So that the few keys of a test are many, and the log is sometimes too long.
const COUNT_LIMITS: CountLimits = CountLimits {
    interval_keys: 2,
    scan_first: 0,
    learn_keys: 1,
    log_events: 8,
};

const APPLIED: &[u8] = b"applied";

struct Run<'h, H: Harness> {
    harness: &'h mut H,
    store: Option<Mvcc<H::Engine>>,
    plain: Mvcc<MemEngine>,
    reference: Reference,
    /// Every batch so far, for replay after a crash.
    batches: Vec<Vec<Write>>,
    /// Of stores closed so far.
    counts: CountStats,
}

/// Returns how often keys were counted by shortcuts.
pub(crate) fn run<H: Harness>(harness: &mut H, steps: &[Step]) -> CountStats {
    let store = Some(Mvcc::open_with(harness.engine(), COUNT_LIMITS).unwrap());
    let mut run = Run {
        harness,
        store,
        plain: Mvcc::open(Arc::new(MemEngine::new())).unwrap(),
        reference: Reference::new(),
        batches: Vec::new(),
        counts: CountStats::default(),
    };
    for step in steps {
        run.step(step);
    }
    run.compare_everything();
    run.close();
    run.counts
}

impl<H: Harness> Run<'_, H> {
    fn store(&mut self) -> &mut Mvcc<H::Engine> {
        self.store.as_mut().unwrap()
    }

    fn close(&mut self) {
        let stats = self.reader().count_stats();
        self.counts.from_table += stats.from_table;
        self.counts.from_log += stats.from_log;
        self.counts.learned += stats.learned;
        self.store = None;
    }

    fn reader(&self) -> Reader<H::Engine> {
        self.store.as_ref().unwrap().reader()
    }

    fn step(&mut self, step: &Step) {
        let current = self.reference.revision;
        match step {
            Step::Batch(writes) => self.batch(writes),
            Step::Range(r) => {
                let mut r = r.clone();
                r.revision = resolve(r.revision, current);
                self.range(&r);
            }
            Step::ReadOnlyTxn(r) => {
                let mut r = r.clone();
                resolve_txn(&mut r, current);
                let want = self.reference.txn(&r);
                assert_eq!(self.reader().txn(&r), want, "{r:?}");
                assert_eq!(self.plain.reader().txn(&r), want, "{r:?}");
            }
            Step::Events(code, revisions, bytes) => {
                self.events(resolve(*code, current), *revisions, *bytes);
            }
            Step::Hash(code) => self.hash(resolve(*code, current)),
            Step::Flush => self.store().engine().flush().unwrap(),
            Step::Reclaim => {
                let compacted = self.store().compacted();
                self.store().engine().reclaim(compacted).unwrap();
            }
            Step::Restart => {
                self.close();
                self.harness.restart();
                let store = Mvcc::open_with(self.harness.engine(), COUNT_LIMITS);
                self.store = Some(store.unwrap());
            }
            Step::Crash => self.crash(),
        }
        let position = (self.reference.revision, self.reference.compacted);
        let store = self.store();
        assert_eq!((store.revision(), store.compacted()), position);
        let reader = store.reader();
        assert_eq!((reader.revision(), reader.compacted()), position);
    }

    fn batch(&mut self, writes: &[Write]) {
        let mut writes = writes.to_vec();
        let before = self.reference.revision;
        let mut answers = Vec::new();
        for write in &mut writes {
            let current = self.reference.revision;
            match write {
                Write::Txn(r) => resolve_txn(r, current),
                Write::Compact(code) => *code = resolve(*code, current),
                _ => {}
            }
            answers.push(expected(&mut self.reference, write));
        }
        self.batches.push(writes);
        let number = self.batches.len();
        let writes = &self.batches[number - 1];

        let events = apply(self.store.as_mut().unwrap(), number, writes, Some(&answers));
        assert_eq!(events, self.reference.all_events(before + 1, -1));
        for (write, answer) in writes.iter().zip(&answers) {
            let one = std::slice::from_ref(write);
            apply(
                &mut self.plain,
                number,
                one,
                Some(std::slice::from_ref(answer)),
            );
        }
    }

    fn range(&mut self, r: &RangeRequest) {
        let want = self.reference.range(r);
        assert_eq!(self.reader().range(r), want, "{r:?}");
        assert_eq!(self.plain.reader().range(r), want, "{r:?}");
        let mut plain_order = r.clone();
        plain_order.sort_order = 0;
        plain_order.sort_target = SortTarget::Key as i32;
        plain_order.min_mod_revision = 0;
        plain_order.max_mod_revision = 0;
        plain_order.min_create_revision = 0;
        plain_order.max_create_revision = 0;
        let want = self.reference.range(&plain_order);
        for (keys, bytes) in [(1, 1 << 20), (2, 1 << 20), (100, 1), (100, 1600)] {
            let got = merged(&self.reader(), &plain_order, keys, bytes);
            assert_eq!(
                got, want,
                "{plain_order:?} in pieces of {keys} keys, {bytes} bytes"
            );
        }
    }

    fn events(&mut self, from: i64, revisions: usize, bytes: usize) {
        let want = self.reference.events(from);
        let got = self.reader().events(from, revisions, bytes);
        let (want, got) = match (want, got) {
            (Ok(want), Ok(got)) => (want, got),
            (want, got) => return assert_eq!(got, want, "from {from}"),
        };
        assert!(got.len() <= revisions.max(1));
        assert_eq!(got.is_empty(), want.is_empty());
        assert_eq!(got[..], want[..got.len()], "from {from}");
        let all = self.reader().events(from, usize::MAX, usize::MAX).unwrap();
        assert_eq!(all, want);
        let mut want = want;
        want.iter_mut()
            .flat_map(|r| &mut r.events)
            .for_each(|e| e.prev_kv = None);
        let without = self
            .reader()
            .events_opt(from, usize::MAX, usize::MAX, false);
        assert_eq!(without.unwrap(), want);
    }

    fn hash(&mut self, rev: i64) {
        let got = self.reader().hash_kv(rev);
        assert_eq!(got, self.plain.reader().hash_kv(rev), "hash at {rev}");
        let want_error = if rev > self.reference.revision {
            Some(MvccError::FutureRevision)
        } else if rev > 0 && rev < self.reference.compacted {
            Some(MvccError::Compacted)
        } else {
            None
        };
        assert_eq!(got.clone().err(), want_error);
        if let Ok(hash) = got {
            assert_eq!(hash.revision, self.reference.revision);
            assert_eq!(hash.compact_revision, self.reference.compacted);
            assert_eq!(
                hash.hash_revision,
                if rev == 0 { hash.revision } else { rev }
            );
        }
    }

    fn crash(&mut self) {
        self.close();
        self.harness.crash();
        let engine = self.harness.engine();
        let applied = engine.get(Cf::Meta, APPLIED).unwrap();
        let applied = applied.map_or(0, |n| u64::from_be_bytes(n[..].try_into().unwrap()));
        let mut store = Mvcc::open_with(engine, COUNT_LIMITS).unwrap();
        for (n, writes) in self.batches.iter().enumerate().skip(applied as usize) {
            apply(&mut store, n + 1, writes, None);
        }
        self.store = Some(store);
    }

    fn compare_everything(&mut self) {
        let from = self.reference.compacted.max(0);
        for revision in from..=self.reference.revision {
            self.hash(revision);
            let everything = RangeRequest {
                key: vec![0].into(),
                range_end: vec![0].into(),
                revision,
                ..Default::default()
            };
            self.range(&everything);
            self.range(&RangeRequest {
                limit: 1,
                ..everything.clone()
            });
            self.range(&RangeRequest {
                count_only: true,
                ..everything
            });
        }
        self.events(from, usize::MAX, usize::MAX);
        for lease in LEASES {
            let want: Vec<_> = self.reference.lease_kvs(lease);
            let want: Vec<_> = want.into_iter().map(|kv| kv.key).collect();
            assert_eq!(self.reader().lease_keys(lease).unwrap(), want);
        }
    }
}

fn expected(reference: &mut Reference, write: &Write) -> Answer {
    match write {
        Write::Put(r) => Answer::Put(reference.put(r)),
        Write::Delete(r) => Answer::Delete(Ok(reference.delete_range(r))),
        Write::Txn(r) => Answer::Txn(reference.txn(r)),
        Write::Revoke(id) => Answer::Revoke(reference.delete_lease_keys(*id)),
        Write::Compact(rev) => Answer::Compact(reference.compact(*rev)),
    }
}

fn apply<E: Engine>(
    store: &mut Mvcc<E>,
    number: usize,
    writes: &[Write],
    want: Option<&[Answer]>,
) -> Vec<RevisionEvents> {
    let mut batch = store.begin();
    for (n, write) in writes.iter().enumerate() {
        let got = answer(&mut batch, write);
        if let Some(want) = want {
            assert_eq!(got, want[n], "{write:?}");
        }
    }
    let applied = (number as u64).to_be_bytes();
    batch.batch_mut().put(Cf::Meta, APPLIED, &applied);
    batch.commit().unwrap()
}

fn answer<E: Engine>(batch: &mut Apply<'_, E>, write: &Write) -> Answer {
    match write {
        Write::Put(r) => Answer::Put(batch.put(r, &Leases)),
        Write::Delete(r) => Answer::Delete(batch.delete_range(r)),
        Write::Txn(r) => Answer::Txn(batch.txn(r, &Leases)),
        Write::Revoke(id) => Answer::Revoke(batch.delete_lease_keys(*id).unwrap()),
        Write::Compact(rev) => Answer::Compact(batch.compact(*rev)),
    }
}

fn merged<E: Engine>(
    reader: &Reader<E>,
    r: &RangeRequest,
    max_keys: usize,
    max_bytes: usize,
) -> Result<RangeResponse, MvccError> {
    let mut whole = RangeResponse::default();
    let mut chunks = reader.range_chunks(r)?;
    while let Some(mut piece) = chunks.next_chunk(max_keys, max_bytes)? {
        assert!(whole.header.is_none(), "only the last piece has a header");
        assert!(piece.kvs.len() <= max_keys);
        whole.kvs.append(&mut piece.kvs);
        whole.header = piece.header;
        whole.more = piece.more;
        whole.count = piece.count;
    }
    Ok(whole)
}
