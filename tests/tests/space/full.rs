//! Disks that fill up: by the store's own writes, by somebody else's file, on the leader and on a follower.

use super::{
    NOTICE, OnDisks, able, alarms_of, assert_no_space, compact_now, contents, key, put, value,
};
use mainstay_faults::Need;
use mainstay_faults::disk::Kind;
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::{Raw, wait_until};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tonic::Code;

const DISK_BYTES: u64 = 64 << 20;
const VALUE_BYTES: usize = 16 << 10;
/// A put that waits longer is tried again under another key.
const PATIENCE: Duration = Duration::from_secs(2);

/// Puts until one is refused for want of space. Returns the keys that were acknowledged; outcomes that stayed unknown
/// belong to none of both.
async fn fill(raw: &Raw, first: u64) -> BTreeSet<u64> {
    let raw = raw.clone().with_deadline(PATIENCE);
    let begun = Instant::now();
    let mut acknowledged = BTreeSet::new();
    for number in first.. {
        match raw.put(put(number, VALUE_BYTES)).await {
            Ok(_) => {
                acknowledged.insert(number);
            }
            Err(status) if status.code() == Code::ResourceExhausted => break,
            Err(status) => println!("put {number}: {status}"),
        }
        assert!(begun.elapsed() < 2 * NOTICE, "the disk never filled up");
        assert!(acknowledged.len() as u64 * (VALUE_BYTES as u64) < DISK_BYTES);
    }
    acknowledged
}

async fn assert_held(raw: &Raw, acknowledged: &BTreeSet<u64>) {
    let found = contents(raw).await;
    for &number in acknowledged {
        let stored = found.get(&key(number));
        assert!(
            stored.is_some_and(|stored| *stored == value(number, VALUE_BYTES)),
            "{} was acknowledged and is lost",
            key(number)
        );
    }
}

/// Deletes one by one. Where the disk has no room left for the history of that, compacting makes some.
async fn delete_all(raw: &Raw, numbers: impl Iterator<Item = u64>) {
    let mut compactions = 0;
    for number in numbers {
        wait_until("a delete is accepted", NOTICE, async || {
            let request = pb::DeleteRangeRequest {
                key: key(number).into(),
                ..Default::default()
            };
            match raw.delete_range(request).await {
                Ok(_) => Some(()),
                // Merging took the room for a moment: the outcome is unknown, and deleting again does no harm.
                Err(status) if status.code() == Code::Unavailable => None,
                Err(status) => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                    compact_now(raw).await;
                    compactions += 1;
                    None
                }
            }
        })
        .await;
    }
    if compactions > 0 {
        println!("compacted {compactions} times to go on deleting");
    }
}

/// Waits until a put is acknowledged again.
async fn writable(raw: &Raw, number: u64) -> Duration {
    let begun = Instant::now();
    let raw = raw.clone().with_deadline(PATIENCE);
    wait_until("writes are accepted again", NOTICE, async || {
        raw.put(put(number, 100)).await.ok()
    })
    .await;
    begun.elapsed()
}

#[tokio::test]
async fn own_writes_fill_it_and_deleting_makes_room() {
    if !able(Need::LoopDisks) {
        return;
    }
    let mut on = OnDisks::start(1, DISK_BYTES, Kind::Plain).await;
    let raw = on.cluster.raw(0);
    let id = on.cluster.id(0).await;
    let mut next = 0;
    for round in 0..3 {
        let acknowledged = fill(&raw, next).await;
        println!("round {round}: {} values fit", acknowledged.len());
        assert!(acknowledged.len() > 300);
        next = acknowledged.last().unwrap() + 100;
        wait_until("the alarm is raised", NOTICE, async || {
            (alarms_of(&raw).await? == [(id, 1)]).then_some(())
        })
        .await;
        assert_held(&raw, &acknowledged).await;
        if round == 1 {
            on.cluster.kill(0);
            on.cluster.spawn(0);
            wait_until("the member is back", NOTICE, async || alarms_of(&raw).await).await;
            assert_held(&raw, &acknowledged).await;
        }
        delete_all(&raw, acknowledged.iter().copied()).await;
        compact_now(&raw).await;
        println!("writable after {:?}", writable(&raw, 900_000).await);
        wait_until("the alarm is withdrawn", NOTICE, async || {
            alarms_of(&raw).await?.is_empty().then_some(())
        })
        .await;
        on.assert_all_run();
    }
}

#[tokio::test]
async fn somebody_elses_file_fills_it() {
    if !able(Need::LoopDisks) {
        return;
    }
    let mut on = OnDisks::start(1, DISK_BYTES, Kind::Plain).await;
    let raw = on.cluster.raw(0);
    let mut acknowledged = BTreeSet::new();
    for number in 0..200 {
        raw.put(put(number, VALUE_BYTES)).await.unwrap();
        acknowledged.insert(number);
    }
    println!("{}", on.disks[0].fill(0).unwrap());
    acknowledged.extend(fill(&raw, 1000).await);
    // The reserve lets apply go on, at the latest when RocksDB looks for room again.
    wait_until("everything is applied", NOTICE, async || {
        let request = pb::RangeRequest {
            key: key(0).into(),
            ..Default::default()
        };
        raw.range(request).await.ok()
    })
    .await;
    // Now the reserve's room is gone, too.
    println!("{}", on.disks[0].fill(0).unwrap());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(12) {
        // Nothing but reading is possible, and that is always possible.
        assert_held(&raw, &acknowledged).await;
        assert_no_space(raw.put(put(5000, VALUE_BYTES)).await);
    }
    on.assert_all_run();
    on.cluster.kill(0);
    on.cluster.spawn(0);
    // It starts, or waits until it can.
    tokio::time::sleep(Duration::from_secs(3)).await;
    on.assert_all_run();
    println!("{}", on.disks[0].release().unwrap());
    println!("writable after {:?}", writable(&raw, 900_000).await);
    assert_held(&raw, &acknowledged).await;
    on.cluster.kill(0);
    on.cluster.start_member(0).await;
    assert_held(&raw, &acknowledged).await;
}

/// One member of three has no room. The others go on deciding, and it catches up.
async fn one_of_three(leader_is_full: bool) {
    if !able(Need::LoopDisks) {
        return;
    }
    let mut on = OnDisks::start(3, DISK_BYTES, Kind::Plain).await;
    let leader = on.cluster.leader().await;
    let full = match leader_is_full {
        true => leader,
        false => on.cluster.follower().await,
    };
    let raws = on.cluster.raws();
    let other = &raws[(full + 1) % 3];
    let mut acknowledged = BTreeSet::new();
    for number in 0..100 {
        other.put(put(number, VALUE_BYTES)).await.unwrap();
        acknowledged.insert(number);
    }
    let changes = term(other).await;
    println!("{}", on.disks[full].fill(0).unwrap());
    acknowledged.extend(fill(other, 1000).await);
    let id = on.cluster.id(full).await;
    wait_until("the full member's alarm is known", NOTICE, async || {
        (alarms_of(other).await? == [(id, 1)]).then_some(())
    })
    .await;
    for raw in [&raws[(full + 1) % 3], &raws[(full + 2) % 3]] {
        assert_held(raw, &acknowledged).await;
    }
    // Deletes are decided without the full member's disk, for longer than the watchdog waits.
    let begun = Instant::now();
    let mut deleted = 0;
    while begun.elapsed() < Duration::from_secs(6) {
        delete_all(other, std::iter::once(deleted)).await;
        acknowledged.remove(&deleted);
        deleted += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let moved = term(other).await - changes;
    println!("leadership moved {moved} times");
    assert!(moved <= 2, "leadership moved {moved} times");
    on.assert_all_run();
    println!("{}", on.disks[full].release().unwrap());
    println!("writable after {:?}", writable(other, 900_000).await);
    wait_until("the alarm is withdrawn", NOTICE, async || {
        alarms_of(other).await?.is_empty().then_some(())
    })
    .await;
    for raw in &raws {
        writable(raw, 900_001).await;
        assert_held(raw, &acknowledged).await;
    }
    on.assert_all_run();
    same_hash(&raws).await;
}

async fn term(raw: &Raw) -> u64 {
    raw.status(pb::StatusRequest {}).await.unwrap().raft_term
}

pub(super) async fn same_hash(raws: &[Raw]) {
    wait_until("all members hold the same", NOTICE, async || {
        let mut hashes = BTreeSet::new();
        for raw in raws {
            let hash = raw.hash_kv(pb::HashKvRequest { revision: 0 }).await.ok()?;
            hashes.insert((hash.header?.revision, hash.hash));
        }
        (hashes.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_follower_holds_nobody_up() {
    one_of_three(false).await;
}

#[tokio::test]
async fn a_full_leader_goes_on_or_steps_down_once() {
    one_of_three(true).await;
}
