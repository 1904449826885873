//! Light traffic on all members, and what nobody may ever read.

use crate::cluster::Cluster;
use crate::load::fill;
use crate::raw::{Raw, revision};
use bytes::Bytes;
use mainstay_proto::etcdserverpb::RangeRequest;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Keys that are written over and over.
const KEYS: u64 = 200;
/// Keys that are written once, so that there is old data.
const COLD_KEYS: usize = 3_000;
const COLD_VALUE_BYTES: usize = 200;
/// Between two writes.
const WRITE_PAUSE: Duration = Duration::from_millis(4);
/// Between two reads of one member.
const READ_PAUSE: Duration = Duration::from_millis(5);
/// A call takes longer only if its member is down or has no leader.
const CALL_DEADLINE: Duration = Duration::from_secs(2);

/// What was tried and what is certain.
#[derive(Debug, Default)]
struct Book {
    /// Number of the last write that was begun.
    begun: AtomicU64,
    /// Per key the number of the last acknowledged write.
    acknowledged: Mutex<BTreeMap<u64, u64>>,
    reads: AtomicU64,
    stop: AtomicBool,
}

/// Writers and readers. Whatever they see that must not be panics, and shows when they are stopped or asked.
#[derive(Debug)]
pub struct Load {
    book: Arc<Book>,
    tasks: Mutex<JoinSet<()>>,
}

fn key(number: u64) -> Bytes {
    format!("hot/{:04}", number % KEYS).into()
}

fn value(number: u64) -> String {
    format!(
        "{:04}:{number}:{}",
        number % KEYS,
        "v".repeat((number % 300) as usize)
    )
}

impl Load {
    /// Fills the store and starts one writer, and two readers for each member.
    pub async fn start(cluster: &Cluster) -> Self {
        fill(&cluster.raw(0), COLD_KEYS, COLD_VALUE_BYTES).await;
        let book = Arc::new(Book::default());
        let raws: Vec<Raw> = cluster.raws();
        let mut tasks = JoinSet::new();
        tasks.spawn(write(Arc::clone(&book), raws.clone()));
        for (member, raw) in raws.iter().enumerate() {
            for serializable in [false, true] {
                tasks.spawn(read(Arc::clone(&book), member, raw.clone(), serializable));
            }
        }
        Self {
            book,
            tasks: Mutex::new(tasks),
        }
    }

    /// Number of reads that were checked.
    pub fn reads(&self) -> u64 {
        self.book.reads.load(Ordering::Relaxed)
    }

    /// Number of acknowledged writes, and the highest of them.
    pub fn writes(&self) -> u64 {
        self.book
            .acknowledged()
            .values()
            .copied()
            .max()
            .unwrap_or(0)
    }

    /// Panics if a reader or the writer has.
    pub fn check(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ended) = tasks.try_join_next() {
            ended.expect("no reader and no writer may find anything wrong");
            panic!("a reader or the writer has ended");
        }
    }

    /// Ends the traffic; panics if anything wrong was read.
    pub async fn stop(self) {
        self.book.stop.store(true, Ordering::Relaxed);
        let mut tasks = self
            .tasks
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no reader and no writer may find anything wrong");
        }
    }
}

impl Book {
    fn acknowledged(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, u64>> {
        self.acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

async fn write(book: Arc<Book>, raws: Vec<Raw>) {
    let raws: Vec<Raw> = raws
        .into_iter()
        .map(|raw| raw.with_deadline(CALL_DEADLINE))
        .collect();
    let mut through = 0;
    for number in 1.. {
        if book.stopped() {
            return;
        }
        book.begun.store(number, Ordering::SeqCst);
        match raws[through].set(key(number), value(number)).await {
            Ok(_) => {
                book.acknowledged().insert(number % KEYS, number);
            }
            // Not tried again: the next one is another value.
            Err(_) => through = (through + 1) % raws.len(),
        }
        sleep(WRITE_PAUSE).await;
    }
}

async fn read(book: Arc<Book>, member: usize, raw: Raw, serializable: bool) {
    let raw = raw.with_deadline(CALL_DEADLINE);
    let mut newest = 0;
    for turn in 0.. {
        if book.stopped() {
            return;
        }
        let cold = turn % 8 == 7;
        let number = (turn * 37 + member as u64) % KEYS;
        let least = match serializable {
            true => 0,
            false => book.acknowledged().get(&number).copied().unwrap_or(0),
        };
        let name = match cold {
            true => crate::load::key((turn as usize * 131) % COLD_KEYS),
            false => key(number),
        };
        let request = RangeRequest {
            key: name.clone(),
            serializable,
            ..Default::default()
        };
        if let Ok(response) = raw.range(request).await {
            let at = revision(response.header);
            // A serializable read may be older than one before a crash of its member, as in etcd.
            assert!(
                at >= newest || serializable,
                "member {member}: revision {at} after {newest}"
            );
            newest = at;
            let kv = response.kvs.first();
            if cold {
                // A serializable read may be older than the key.
                assert!(
                    kv.is_some() || serializable,
                    "member {member} lost {name:?}"
                );
                let whole = |value: &[u8]| {
                    value.len() == COLD_VALUE_BYTES && value.iter().all(|b| *b == b'v')
                };
                let fine = kv.is_none_or(|kv| whole(&kv.value));
                assert!(fine, "member {member} serves damage: {kv:?}");
            } else {
                let found = kv.map_or(0, |kv| parse(&kv.value, number, member));
                let begun = book.begun.load(Ordering::SeqCst);
                let fine = (least..=begun).contains(&found);
                assert!(
                    fine,
                    "member {member} serves write {found} of key {number}, not {least} to {begun}"
                );
            }
            book.reads.fetch_add(1, Ordering::Relaxed);
        }
        sleep(READ_PAUSE).await;
    }
}

/// The number of the write that a value is from, if it is one.
fn parse(found: &[u8], key: u64, member: usize) -> u64 {
    let text = String::from_utf8_lossy(found);
    let number = text.split(':').nth(1).and_then(|n| n.parse::<u64>().ok());
    let number = number.unwrap_or_else(|| panic!("member {member} serves damage: {text:?}"));
    let whole = number % KEYS == key && text == value(number);
    assert!(whole, "member {member} serves damage: {text:?}");
    number
}
