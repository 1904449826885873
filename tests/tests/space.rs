//! Running out of room: the quota, a full disk, a disk that stands still. Nothing acknowledged is lost and no process
//! ends.
//!
//! What needs root (small file systems in loop devices) says so loudly and is skipped without it;
//! `MAINSTAY_FAULTS_REQUIRED=1` makes that a failure.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this crate is all tests"
)]

#[path = "space/alarms.rs"]
mod alarms;
#[path = "space/full.rs"]
mod full;
#[path = "space/quota.rs"]
mod quota;
#[path = "space/stalled.rs"]
mod stalled;

use mainstay_faults::disk::{Disk, Kind};
use mainstay_faults::{Need, Run, capability};
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::{Cluster, Options, Raw};
use std::io::Write;
use std::time::Duration;
use tonic::Code;

const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";

/// Until a member has noticed what became of its disk and the cluster knows; RocksDB alone looks every five seconds.
const NOTICE: Duration = Duration::from_secs(40);

/// Whether the machine can do this. Says loudly what it cannot.
fn able(need: Need) -> bool {
    let Err(why) = capability::check(&[need]) else {
        return true;
    };
    assert!(
        std::env::var_os("MAINSTAY_FAULTS_REQUIRED").is_none(),
        "{why}"
    );
    // Past the capture of passing tests' output: a skip must be seen.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
    false
}

/// A running cluster whose members have their data on disks of their own. The disks are dropped after the processes.
struct OnDisks {
    cluster: Cluster,
    disks: Vec<Disk>,
}

impl OnDisks {
    async fn start(size: usize, bytes: u64, kind: Kind) -> Self {
        let run = Run::claim().unwrap();
        let mut cluster = Cluster::prepare(size, Options::default());
        let mut disks = Vec::new();
        for index in 0..size {
            let disk = Disk::create(&run, &format!("m{index}"), bytes, kind).unwrap();
            cluster.set_data_dir(index, disk.data());
            disks.push(disk);
        }
        cluster.start_all().await;
        Self { cluster, disks }
    }

    /// No member has ended by itself.
    fn assert_all_run(&mut self) {
        for index in 0..self.cluster.len() {
            assert!(self.cluster.runs(index), "member {index} ended");
        }
    }
}

impl Drop for OnDisks {
    /// A process that waits for a disk cannot even be killed: they all go on before they end.
    fn drop(&mut self) {
        for disk in &mut self.disks {
            // Only those with a daemon can stand still.
            let _ = disk.resume();
        }
    }
}

/// Not compressible, and different for every number.
fn value(number: u64, len: usize) -> bytes::Bytes {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let word = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(word).collect();
    bytes.truncate(len);
    bytes.into()
}

fn key(number: u64) -> String {
    format!("key{number:06}")
}

fn put(number: u64, len: usize) -> pb::PutRequest {
    pb::PutRequest {
        key: key(number).into(),
        value: value(number, len),
        ..Default::default()
    }
}

fn assert_no_space<T: std::fmt::Debug>(result: Result<T, tonic::Status>) {
    let status = result.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::ResourceExhausted, NO_SPACE)
    );
}

/// The alarms of a member as `(member, type)`.
async fn alarms_of(raw: &Raw) -> Option<Vec<(u64, i32)>> {
    let answer = raw.alarm(pb::AlarmRequest::default()).await.ok()?;
    let alarms = answer.alarms.iter();
    Some(alarms.map(|alarm| (alarm.member_id, alarm.alarm)).collect())
}

async fn revision(raw: &Raw) -> i64 {
    let answer = raw.status(pb::StatusRequest {}).await.unwrap();
    answer.header.unwrap().revision
}

async fn compact_now(raw: &Raw) {
    let request = pb::CompactionRequest {
        revision: revision(raw).await,
        physical: true,
    };
    match raw.compact(request).await {
        Ok(_) => {}
        // Nothing was written since the last one. (Code and text of a compacted revision.)
        // Or merging took the room for a moment: RocksDB looks for some every five seconds, longer than a request lasts.
        Err(status) => assert!(
            matches!(status.code(), Code::OutOfRange | Code::Unavailable),
            "{status}"
        ),
    }
}

/// All keys of a member with their values, read page by page.
async fn contents(raw: &Raw) -> std::collections::BTreeMap<String, bytes::Bytes> {
    let mut found = std::collections::BTreeMap::new();
    let mut from = bytes::Bytes::from_static(b"key");
    loop {
        let request = pb::RangeRequest {
            key: from.clone(),
            range_end: "kez".into(),
            limit: 100,
            ..Default::default()
        };
        let answer = raw.range(request).await.unwrap();
        for kv in answer.kvs {
            from = [&kv.key[..], b"\0"].concat().into();
            found.insert(String::from_utf8(kv.key.to_vec()).unwrap(), kv.value);
        }
        if !answer.more {
            return found;
        }
    }
}
