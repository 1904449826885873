//! The layout of the store beside the etcd-like alternative (revision to record, and an index of all keys
//! in memory), on the same RocksDB settings. Prints a table.
//!
//! `cargo run --release -p mainstay-engine-rocks --example layout -- [keys]`
//!
//! Each layout runs in a process of its own, so that memory and CPU time are its own.

#![expect(clippy::print_stdout, reason = "a command-line program")]

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use mainstay_engine::{Batch, Cf, Direction, Engine, Read};
use mainstay_engine_rocks::{RocksEngine, RocksOptions};
use mainstay_mvcc::{LeaseLookup, Mvcc};
use mainstay_proto::etcdserverpb::{PutRequest, RangeRequest};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

const BATCH: usize = 100;
const VALUE_BYTES: usize = 256;
const LIST_KEYS: usize = 10_000;
const LISTS: usize = 50;

/// One way to store keys with revisions. Every put is a revision of its own.
trait Layout: Sized {
    fn open(dir: &Path) -> anyhow::Result<Self>;
    fn put(&mut self, batch: &[(Bytes, Bytes)]) -> anyhow::Result<()>;
    /// The number of bytes of the value.
    fn get(&self, key: &Bytes) -> anyhow::Result<usize>;
    /// The number of keys found.
    fn list(&self, start: &Bytes, end: &Bytes) -> anyhow::Result<usize>;
    /// Compacts at the current revision and waits until space is reclaimed.
    fn compact(&mut self) -> anyhow::Result<()>;
    fn engine(&self) -> &RocksEngine;
}

/// The store as it is.
struct Intervals {
    store: Mvcc<RocksEngine>,
}

struct NoLeases;

impl LeaseLookup for NoLeases {
    fn exists(&self, _id: i64) -> bool {
        false
    }
}

impl Layout for Intervals {
    fn open(dir: &Path) -> anyhow::Result<Self> {
        let engine = RocksEngine::open(dir, &RocksOptions::default())?;
        Ok(Self {
            store: Mvcc::open(Arc::new(engine))?,
        })
    }

    fn put(&mut self, batch: &[(Bytes, Bytes)]) -> anyhow::Result<()> {
        let mut apply = self.store.begin();
        for (key, value) in batch {
            let r = PutRequest {
                key: key.clone(),
                value: value.clone(),
                ..Default::default()
            };
            apply.put(&r, &NoLeases)?;
        }
        apply.commit()?;
        Ok(())
    }

    fn get(&self, key: &Bytes) -> anyhow::Result<usize> {
        let r = RangeRequest {
            key: key.clone(),
            ..Default::default()
        };
        let kvs = self.store.reader().range(&r)?.kvs;
        Ok(kvs.first().context("missing key")?.value.len())
    }

    fn list(&self, start: &Bytes, end: &Bytes) -> anyhow::Result<usize> {
        let r = RangeRequest {
            key: start.clone(),
            range_end: end.clone(),
            ..Default::default()
        };
        Ok(self.store.reader().range(&r)?.kvs.len())
    }

    fn compact(&mut self) -> anyhow::Result<()> {
        let revision = self.store.revision();
        let mut apply = self.store.begin();
        apply.compact(revision)?;
        apply.commit()?;
        self.store.engine().reclaim(revision)?;
        Ok(())
    }

    fn engine(&self) -> &RocksEngine {
        self.store.engine()
    }
}

/// Revision to record in one column family; key to revisions in memory, rebuilt by a scan.
struct Indexed {
    engine: RocksEngine,
    index: BTreeMap<Bytes, Versions>,
    revision: i64,
}

#[derive(Default)]
struct Versions {
    create: i64,
    version: i64,
    revisions: Vec<i64>,
}

const HEAD_BYTES: usize = 28;

fn encode(key: &[u8], value: &[u8], versions: &Versions) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + key.len() + value.len());
    out.extend_from_slice(&versions.create.to_le_bytes());
    out.extend_from_slice(&versions.version.to_le_bytes());
    out.extend_from_slice(&0i64.to_le_bytes());
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
    out
}

fn number(stored: &[u8], at: usize) -> i64 {
    let bytes = stored[at..].first_chunk().copied().unwrap_or_default();
    i64::from_le_bytes(bytes)
}

fn key_len(stored: &[u8]) -> usize {
    let bytes = stored[24..].first_chunk().copied().unwrap_or_default();
    u32::from_le_bytes(bytes) as usize
}

impl Indexed {
    fn record(&self, versions: &Versions) -> anyhow::Result<Bytes> {
        let revision = versions.revisions.last().context("no version")?;
        let stored = self.engine.get(Cf::Live, &revision.to_be_bytes())?;
        stored.context("missing record")
    }
}

impl Layout for Indexed {
    fn open(dir: &Path) -> anyhow::Result<Self> {
        let engine = RocksEngine::open(dir, &RocksOptions::default())?;
        let mut index: BTreeMap<Bytes, Versions> = BTreeMap::new();
        let mut revision = 1;
        engine.scan(
            Cf::Live,
            &[],
            None,
            Direction::Ascending,
            &mut |stored_key, stored| {
                let bytes = stored_key.first_chunk().copied().unwrap_or_default();
                revision = i64::from_be_bytes(bytes);
                let key = &stored[HEAD_BYTES..HEAD_BYTES + key_len(stored)];
                let versions = match index.get_mut(key) {
                    Some(versions) => versions,
                    None => index.entry(Bytes::copy_from_slice(key)).or_default(),
                };
                versions.create = number(stored, 0);
                versions.version = number(stored, 8);
                versions.revisions.push(revision);
                ControlFlow::Continue(())
            },
        )?;
        Ok(Self {
            engine,
            index,
            revision,
        })
    }

    fn put(&mut self, batch: &[(Bytes, Bytes)]) -> anyhow::Result<()> {
        let mut out = Batch::new();
        for (key, value) in batch {
            self.revision += 1;
            let versions = self.index.entry(key.clone()).or_default();
            if versions.version == 0 {
                versions.create = self.revision;
            }
            versions.version += 1;
            versions.revisions.push(self.revision);
            let record = encode(key, value, versions);
            out.put(Cf::Live, &self.revision.to_be_bytes(), &record);
        }
        out.put(Cf::Meta, b"revision", &self.revision.to_be_bytes());
        Ok(self.engine.write(&out)?)
    }

    fn get(&self, key: &Bytes) -> anyhow::Result<usize> {
        let versions = self.index.get(key).context("missing key")?;
        let stored = self.record(versions)?;
        Ok(stored.len() - HEAD_BYTES - key_len(&stored))
    }

    fn list(&self, start: &Bytes, end: &Bytes) -> anyhow::Result<usize> {
        let mut kvs = Vec::new();
        for (key, versions) in self.index.range(start.clone()..end.clone()) {
            let stored = self.record(versions)?;
            kvs.push((key.clone(), stored.slice(HEAD_BYTES + key_len(&stored)..)));
        }
        Ok(kvs.len())
    }

    fn compact(&mut self) -> anyhow::Result<()> {
        let mut out = Batch::new();
        for versions in self.index.values_mut() {
            let last = versions.revisions.len() - 1;
            for revision in versions.revisions.drain(..last) {
                out.delete(Cf::Live, &revision.to_be_bytes());
            }
            if out.len() >= 1000 {
                self.engine.write(&out)?;
                out.clear();
            }
        }
        self.engine.write(&out)?;
        self.engine.flush()?;
        Ok(())
    }

    fn engine(&self) -> &RocksEngine {
        &self.engine
    }
}

/// CPU time of the process in seconds, background threads included; ticks are 10 ms.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let field = |n: usize| {
        after
            .split_whitespace()
            .nth(n)
            .and_then(|f| f.parse::<f64>().ok())
    };
    (field(11).unwrap_or(0.0) + field(12).unwrap_or(0.0)) / 100.0
}

fn rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn key(n: usize) -> Bytes {
    Bytes::from(format!("/registry/pods/default/{n:010}"))
}

fn scattered(n: usize, keys: usize) -> usize {
    n.wrapping_mul(2_654_435_761) % keys
}

/// Half random, half text: compresses about like real objects.
fn value(n: usize) -> Bytes {
    let mut state = n as u64 + 1;
    let mut out = Vec::with_capacity(VALUE_BYTES);
    while out.len() < VALUE_BYTES {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        out.extend_from_slice(&state.to_be_bytes()[..4]);
        out.extend_from_slice(b"text");
    }
    Bytes::from(out)
}

/// Runs `f` and prints its name with microseconds of wall and CPU time per operation.
fn timed(name: &str, ops: usize, f: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let (cpu, wall) = (cpu_s(), Instant::now());
    f()?;
    let (cpu, wall) = (cpu_s() - cpu, wall.elapsed().as_secs_f64());
    let per_op = |seconds: f64| seconds * 1e6 / ops as f64;
    println!(
        "{name} (µs wall / CPU)\t{:.2} / {:.2}",
        per_op(wall),
        per_op(cpu)
    );
    Ok(())
}

fn put_all<L: Layout>(
    layout: &mut L,
    ops: usize,
    pair: impl Fn(usize) -> (Bytes, Bytes),
) -> anyhow::Result<()> {
    for start in (0..ops).step_by(BATCH) {
        let batch: Vec<_> = (start..ops.min(start + BATCH)).map(&pair).collect();
        layout.put(&batch)?;
    }
    Ok(())
}

fn child<L: Layout>(keys: usize, dir: &Path) -> anyhow::Result<()> {
    let mut layout = L::open(dir)?;
    let empty_rss = rss_mib();
    timed("put of a new key", keys, || {
        put_all(&mut layout, keys, |n| (key(scattered(n, keys)), value(n)))
    })?;
    let overwrites = keys * 3 / 10;
    timed("overwrite", overwrites, || {
        put_all(&mut layout, overwrites, |n| {
            (key(scattered(n * 7, keys)), value(n + keys))
        })
    })?;
    reads("before compaction", &layout, keys)?;
    println!(
        "memory added since open (MiB)\t{:.0}",
        rss_mib() - empty_rss
    );
    layout.engine().flush()?;
    let size = |layout: &L| layout.engine().size().total_bytes as f64 / f64::from(1 << 20);
    println!(
        "bytes on disk before compaction (MiB)\t{:.0}",
        size(&layout)
    );
    timed("compaction at the current revision, whole", 1, || {
        layout.compact()
    })?;
    println!("bytes on disk after compaction (MiB)\t{:.0}", size(&layout));
    reads("after compaction", &layout, keys)?;
    drop(layout);
    Ok(())
}

fn reads<L: Layout>(when: &str, layout: &L, keys: usize) -> anyhow::Result<()> {
    let gets = keys * 3 / 10;
    timed(&format!("get, {when}"), gets, || {
        for n in 0..gets {
            ensure!(
                layout.get(&key(scattered(n * 3, keys)))? >= VALUE_BYTES,
                "wrong value"
            );
        }
        Ok(())
    })?;
    let list_keys = LIST_KEYS.min(keys / 2);
    timed(
        &format!("list of {list_keys}, {when}, per list"),
        LISTS,
        || {
            for n in 0..LISTS {
                let from = scattered(n, keys - list_keys);
                let found = layout.list(&key(from), &key(from + list_keys))?;
                ensure!(found == list_keys, "wrong list");
            }
            Ok(())
        },
    )
}

/// In a process of its own, as after a restart.
fn reopened<L: Layout>(dir: &Path) -> anyhow::Result<()> {
    let before = rss_mib();
    let mut layout = None;
    timed("reopen until the first get is answered", 1, || {
        let opened = L::open(dir)?;
        opened.get(&key(0))?;
        layout = Some(opened);
        Ok(())
    })?;
    println!("memory after reopening (MiB)\t{:.0}", rss_mib() - before);
    Ok(())
}

/// The lines of a child: name and figure.
fn figures(args: &[&str]) -> anyhow::Result<Vec<(String, String)>> {
    let output = Command::new(std::env::current_exe()?).args(args).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{args:?} failed: {errors}");
    let text = String::from_utf8(output.stdout)?;
    let line = |l: &str| {
        l.split_once('\t')
            .map(|(a, b)| (a.to_string(), b.to_string()))
    };
    Ok(text.lines().filter_map(line).collect())
}

fn table(keys: usize) -> anyhow::Result<()> {
    let root = std::env::temp_dir().join(format!("mainstay-layout-{}", std::process::id()));
    let mut columns = Vec::new();
    for layout in ["intervals", "indexed"] {
        let dir = root.join(layout);
        std::fs::create_dir_all(&dir)?;
        let dir = dir.to_str().context("odd temporary directory")?;
        let mut column = figures(&[&keys.to_string(), layout, "run", dir])?;
        column.extend(figures(&[&keys.to_string(), layout, "reopen", dir])?);
        columns.push(column);
    }
    std::fs::remove_dir_all(&root)?;
    println!(
        "| {keys} keys × {VALUE_BYTES} B, 30 % overwritten, batches of {BATCH} | live + hist + log | revision → record + index in memory |"
    );
    println!("|---|---|---|");
    for ((name, ours), (_, other)) in columns[0].iter().zip(&columns[1]) {
        println!("| {name} | {ours} | {other} |");
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let keys = args.first().map_or(Ok(1_000_000), |n| n.parse())?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [_, "intervals", "run", dir] => child::<Intervals>(keys, Path::new(dir)),
        [_, "indexed", "run", dir] => child::<Indexed>(keys, Path::new(dir)),
        [_, "intervals", "reopen", dir] => reopened::<Intervals>(Path::new(dir)),
        [_, "indexed", "reopen", dir] => reopened::<Indexed>(Path::new(dir)),
        _ => table(keys),
    }
}
