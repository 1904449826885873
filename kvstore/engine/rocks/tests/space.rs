//! Room on disk: given back after deletion and compaction, and what happens when there is none.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "says loudly what was not tested")]

use bytes::Bytes;
use mainstay_engine::{Engine, EngineError, Read};
use mainstay_engine_rocks::{RocksEngine, RocksOptions};
use mainstay_mvcc::{LeaseLookup, Mvcc, MvccError, Sealed};
use mainstay_proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// Longer than RocksDB takes to notice that there is room again (it looks every five seconds).
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);

struct NoLeases;

impl LeaseLookup for NoLeases {
    fn exists(&self, _id: i64) -> bool {
        false
    }
}

fn open(dir: &Path, memtables_bytes: usize) -> Mvcc<RocksEngine> {
    let options = RocksOptions {
        memtables_bytes,
        ..RocksOptions::default()
    };
    Mvcc::open(Arc::new(RocksEngine::open(dir, &options).unwrap())).unwrap()
}

/// Hard to compress, and told by key.
fn value(key: u64, len: usize) -> Bytes {
    let mut state = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(next).collect();
    bytes.truncate(len);
    bytes.into()
}

fn key(n: u64) -> Bytes {
    format!("key{n:08}").into()
}

fn put(n: u64, len: usize) -> PutRequest {
    PutRequest {
        key: key(n),
        value: value(n, len),
        ..Default::default()
    }
}

#[test]
fn deleted_and_compacted_data_leaves_the_disk() {
    for (count, len) in [(4_000, 16 << 10), (100_000, 600)] {
        let dir = tempfile::tempdir().unwrap();
        let mut mvcc = open(dir.path(), 16 << 20);
        for n in 0..count {
            let mut apply = mvcc.begin();
            apply.put(&put(n, len), &NoLeases).unwrap();
            apply.commit().unwrap();
        }
        mvcc.engine().flush().unwrap();
        let full = mvcc.engine().size().total_bytes;
        assert!(full > count * len as u64, "{full}");
        // All but a few go, one by one.
        for n in 100..count {
            let mut apply = mvcc.begin();
            let request = DeleteRangeRequest {
                key: key(n),
                ..Default::default()
            };
            assert_eq!(apply.delete_range(&request).unwrap().deleted, 1);
            apply.commit().unwrap();
        }
        let revision = mvcc.revision();
        let mut apply = mvcc.begin();
        apply.compact(revision).unwrap();
        apply.commit().unwrap();
        mvcc.engine().reclaim(revision).unwrap();
        let left = mvcc.engine().size();
        eprintln!("{count} of {len} bytes: {full} bytes became {left:?}");
        assert!(left.total_bytes < full / 10, "{left:?} of {full}");
        let request = RangeRequest {
            key: "key".into(),
            range_end: "kez".into(),
            ..Default::default()
        };
        assert_eq!(mvcc.reader().range(&request).unwrap().kvs.len(), 100);
    }
}

/// A small file system in memory, gone when dropped.
struct Mount(PathBuf);

impl Mount {
    const PREFIX: &str = "mainstay-engine-full-";

    /// `None`, said aloud, where mounting is not permitted.
    fn new(name: &str, bytes: u64) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        // What a killed run left behind.
        for line in mounts.lines().filter(|line| line.contains(Self::PREFIX)) {
            let path = line.split(' ').nth(1).unwrap();
            let owner = path.rsplit('-').next().unwrap();
            if !Path::new("/proc").join(owner).exists() {
                drop(Self(path.into()));
            }
        }
        let name = format!("{}{name}-{}", Self::PREFIX, std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(&path)
            .status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: a full disk is not tested, mounting needs root");
            std::fs::remove_dir(&path).unwrap();
            return None;
        }
        Some(Self(path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Puts until the disk is full: how many were taken, and the batch that was not.
fn fill(mvcc: &mut Mvcc<RocksEngine>) -> (u64, Sealed) {
    for accepted in 0..2_000 {
        let mut apply = mvcc.begin();
        apply.put(&put(accepted, 64 << 10), &NoLeases).unwrap();
        let sealed = apply.finish();
        let begun = Instant::now();
        loop {
            match mvcc.write(&sealed) {
                Ok(()) => break,
                Err(MvccError::Engine(EngineError::Stalled(_))) => {
                    assert!(begun.elapsed() < RECOVERY_LIMIT, "stalled for ever");
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(MvccError::Engine(EngineError::Full(why))) => {
                    eprintln!("after {accepted} puts: {why}");
                    return (accepted, sealed);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    panic!("the disk never filled up");
}

/// Where the disk became full while writes waited for a flush, the write waited for as long as it was full,
/// and with it the thread that also sends heartbeats: RocksDB looks for room itself, and does not say so.
#[test]
fn a_write_on_a_full_disk_returns_while_rocksdb_waits_for_room() {
    let Some(mount) = Mount::new("waits", 16 * MIB) else {
        return;
    };
    for round in 0..8 {
        let dir = mount.0.join(format!("db{round}"));
        let mut mvcc = open(&dir, 4 << 20);
        let (done, returned) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            let (accepted, held) = fill(&mut mvcc);
            // Again and again: it says so each time.
            for _ in 0..100 {
                let again = mvcc.write(&held);
                assert!(again.is_err(), "{accepted}");
            }
            done.send(()).unwrap();
        });
        returned
            .recv_timeout(RECOVERY_LIMIT)
            .expect("the write returns");
        writer.join().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn a_full_disk_refuses_whole_batches_and_recovers() {
    let Some(mount) = Mount::new("refuses", 48 * MIB) else {
        return;
    };
    let dir = mount.0.join("db");
    let mut mvcc = open(&dir, 4 << 20);
    std::fs::write(mount.0.join("filler"), vec![1; 16 << 20]).unwrap();
    let (accepted, held) = fill(&mut mvcc);
    let count = |mvcc: &Mvcc<RocksEngine>| {
        let request = RangeRequest {
            key: "key".into(),
            range_end: "kez".into(),
            count_only: true,
            ..Default::default()
        };
        mvcc.reader().range(&request).unwrap().count as u64
    };
    assert_eq!(count(&mvcc), accepted);
    assert!(matches!(mvcc.engine().flush(), Err(EngineError::Full(_))));
    assert!(mvcc.engine().checkpoint(&mount.0.join("copy")).is_err());
    assert!(matches!(
        mvcc.write(&held),
        Err(MvccError::Engine(
            EngineError::Full(_) | EngineError::Stalled(_)
        ))
    ));
    std::fs::remove_file(mount.0.join("filler")).unwrap();
    let begun = Instant::now();
    while let Err(e) = mvcc.write(&held) {
        assert!(begun.elapsed() < RECOVERY_LIMIT, "{e}");
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("writes again after {:?}", begun.elapsed());
    assert_eq!(count(&mvcc), accepted + 1);
    // Merging may take the room once more.
    while let Err(e) = mvcc.engine().flush() {
        assert!(begun.elapsed() < RECOVERY_LIMIT, "{e}");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(mvcc);
    let mvcc = open(&dir, 4 << 20);
    assert_eq!(count(&mvcc), accepted + 1);
    for n in 0..=accepted {
        let stored = mvcc.engine().get(mainstay_engine::Cf::Live, &key(n));
        assert!(stored.unwrap().unwrap().ends_with(&value(n, 64 << 10)));
    }
}
