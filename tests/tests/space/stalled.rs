//! A disk that stands still, without an error.

use super::full::same_hash;
use super::{OnDisks, able, put};
use mainstay_faults::Need;
use mainstay_faults::disk::Kind;
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::{Raw, wait_until};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const DISK_BYTES: u64 = 512 << 20;
/// From the stall to the next acknowledged write: the watchdog's two seconds and an election.
const GAP_MAX: Duration = Duration::from_secs(6);
/// Until a disk that goes on has caught up.
const RECOVERY_MAX: Duration = Duration::from_secs(60);
/// Puts of the flood that are under way together, and their size.
const FLOOD_PUTS: usize = 32;
const FLOOD_BYTES: usize = 256 << 10;
const LEASE: i64 = 77;
const LEASE_TTL: i64 = 60;

/// When the last write was acknowledged, and the longest time without one.
#[derive(Clone)]
struct Acks(Arc<Mutex<(Instant, Duration)>>);

impl Acks {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), Duration::ZERO))))
    }

    fn note(&self) {
        let mut acks = self.0.lock().unwrap();
        acks.1 = acks.1.max(acks.0.elapsed());
        acks.0 = Instant::now();
    }

    fn longest(&self) -> Duration {
        let acks = self.0.lock().unwrap();
        acks.1.max(acks.0.elapsed())
    }
}

/// Writes one after the other; the longest time between two that were acknowledged.
async fn longest_gap(raws: &[Raw], first: u64, length: Duration) -> Duration {
    let acks = Acks::new();
    let begun = Instant::now();
    let mut number = first;
    while begun.elapsed() < length {
        for raw in raws {
            number += 1;
            let raw = raw.clone().with_deadline(Duration::from_millis(500));
            if raw.put(put(number, 100)).await.is_ok() {
                acks.note();
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    acks.longest()
}

/// Three members on disks that can stand still, and who led at the start.
struct Led {
    on: OnDisks,
    leader: usize,
    raws: Vec<Raw>,
    others: [Raw; 2],
    id: u64,
}

impl Led {
    /// `None` where disks cannot be stopped.
    async fn start() -> Option<Self> {
        if !able(Need::BlockDaemon) {
            return None;
        }
        let mut on = OnDisks::start(3, DISK_BYTES, Kind::Daemon).await;
        let leader = on.cluster.leader().await;
        let (raws, id) = (on.cluster.raws(), on.cluster.id(leader).await);
        let others = [1, 2].map(|next| raws[(leader + next) % 3].clone());
        Some(Self {
            on,
            leader,
            raws,
            others,
            id,
        })
    }

    fn stall(&mut self) {
        println!("{}", self.on.disks[self.leader].stall().unwrap());
    }

    async fn moved(&self) {
        let now = self.others[0].status(pb::StatusRequest {}).await.unwrap();
        assert_ne!(now.leader, self.id, "leadership did not move");
    }

    /// The disk goes on, and the former leader serves as the others do.
    async fn recovers(mut self) {
        println!("{}", self.on.disks[self.leader].resume().unwrap());
        wait_until(
            "the former leader answers again",
            RECOVERY_MAX,
            async || {
                let raw = self.raws[self.leader].clone();
                let raw = raw.with_deadline(Duration::from_secs(2));
                raw.put(put(9_999, 100)).await.ok()
            },
        )
        .await;
        same_hash(&self.raws).await;
        self.on.assert_all_run();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_stands_still_steps_down_and_loses_no_lease() {
    let Some(mut led) = Led::start().await else {
        return;
    };
    let others = led.others.clone();
    let grant = pb::LeaseGrantRequest {
        id: LEASE,
        ttl: LEASE_TTL,
    };
    others[0].lease_grant(grant).await.unwrap();
    let granted = Instant::now();
    let attached = pb::PutRequest {
        lease: LEASE,
        ..put(0, 100)
    };
    others[0].put(attached).await.unwrap();
    let before = longest_gap(&others, 0, Duration::from_secs(2)).await;
    led.stall();
    let stalled = Instant::now();
    let gap = longest_gap(&others, 1_000, Duration::from_secs(9)).await;
    println!("longest gap {gap:?}, before the stall {before:?}");
    assert!(gap < GAP_MAX, "no write for {gap:?}");
    led.moved().await;
    let info = pb::LeaseTimeToLiveRequest {
        id: LEASE,
        keys: true,
    };
    let lease = others[0].lease_time_to_live(info).await.unwrap();
    println!(
        "{:?} after the stall the lease has {} s",
        stalled.elapsed(),
        lease.ttl
    );
    // Neither lost nor begun anew.
    let age = i64::try_from(granted.elapsed().as_secs()).unwrap();
    let expected = LEASE_TTL - age - 4..=LEASE_TTL - age + 6;
    assert!(expected.contains(&lease.ttl), "{lease:?} after {age} s");
    assert_eq!(lease.keys.len(), 1);
    led.recovers().await;
}

/// What tells that the disk stalls once waited behind the note of the members' addresses, written to that very disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_noting_new_members_on_a_stalled_disk_never_stepped_down() {
    let Some(mut led) = Led::start().await else {
        return;
    };
    let others = led.others.clone();
    led.stall();
    let nobody = pb::MemberAddRequest {
        peer_urls: vec!["http://127.0.0.1:1".to_owned()],
        is_learner: true,
    };
    others[0].member_add(nobody).await.unwrap();
    let gap = longest_gap(&others, 0, Duration::from_secs(8)).await;
    println!("longest gap {gap:?}");
    assert!(gap < GAP_MAX, "no write for {gap:?}");
    led.moved().await;
    led.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_whose_disk_stands_still_slows_nobody_down() {
    if !able(Need::BlockDaemon) {
        return;
    }
    let mut on = OnDisks::start(3, DISK_BYTES, Kind::Daemon).await;
    let follower = on.cluster.follower().await;
    let raws = on.cluster.raws();
    let others: Vec<Raw> = (0..3)
        .filter(|&i| i != follower)
        .map(|i| raws[i].clone())
        .collect();
    longest_gap(&others, 0, Duration::from_secs(1)).await;
    println!("{}", on.disks[follower].stall().unwrap());
    let gap = longest_gap(&others, 1_000, Duration::from_secs(8)).await;
    println!("longest gap {gap:?}");
    assert!(gap < Duration::from_secs(1), "no write for {gap:?}");
    println!("{}", on.disks[follower].resume().unwrap());
    same_hash(&raws).await;
    on.assert_all_run();
}

/// As above, but with so much data that what the leader holds in memory for its tables is full before it steps down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_stands_still_steps_down_in_a_flood() {
    let Some(mut led) = Led::start().await else {
        return;
    };
    let others = led.others.clone();
    let acks = Acks::new();
    let flood = tokio::spawn({
        let (others, acks) = (others.clone(), acks.clone());
        async move {
            let mut puts = tokio::task::JoinSet::new();
            for number in 0u64.. {
                if puts.len() >= FLOOD_PUTS {
                    puts.join_next().await;
                }
                let raw = others[number as usize % 2]
                    .clone()
                    .with_deadline(Duration::from_secs(2));
                // The same few keys again and again, so that the disks do not fill up.
                let request = put(number % 8, FLOOD_BYTES);
                let acks = acks.clone();
                puts.spawn(async move {
                    if raw.put(request).await.is_ok() {
                        acks.note();
                    }
                });
            }
        }
    });
    led.stall();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let gap = acks.longest();
    println!("longest gap {gap:?}");
    flood.abort();
    assert!(gap < GAP_MAX, "no write for {gap:?}");
    led.moved().await;
    led.recovers().await;
}
