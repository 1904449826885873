//! Starting and restarting clusters of every supported size, and how long a large store takes to serve again.

use crate::held_to_our_limits;
use mainstay_proto::etcdserverpb::{HashKvRequest, RangeRequest};
use mainstay_tests::limits::{CONVERGE_DEADLINE, READY_DEADLINE};
use mainstay_tests::load::{fill, key};
use mainstay_tests::raw::prefix_end;
use mainstay_tests::{Cluster, wait_until};
use std::time::{Duration, Instant};

/// Keys written before the timed restart; `MAINSTAY_RESTART_KEYS=1000000` is the heavy variant.
const RESTART_KEYS: usize = 40_000;
const VALUE_BYTES: usize = 256;

async fn survives_restarts(size: usize) {
    let mut cluster = Cluster::start(size).await;
    let mut expected = 0;
    for index in 0..size {
        cluster
            .raw(index)
            .set(format!("r/{index}"), "before")
            .await
            .unwrap();
        expected += 1;
    }
    for index in 0..size {
        cluster.kill(index);
        if size > 1 {
            // The others serve meanwhile, after an election if that was the leader.
            let other = cluster
                .raw((index + 1) % size)
                .with_deadline(Duration::from_secs(1));
            wait_until("a majority serves", CONVERGE_DEADLINE, async || {
                other.set(format!("r/during/{index}"), "x").await.ok()
            })
            .await;
            expected += 1;
        }
        cluster.start_member(index).await;
        assert_eq!(
            cluster.raw(index).get_prefix("r/").await.unwrap().count,
            expected
        );
    }
    let all: Vec<usize> = (0..size).collect();
    cluster.kill_together(&all);
    cluster.start_all().await;
    let revision = cluster.raw(0).revision().await.unwrap();
    let mut hashes = Vec::new();
    for raw in cluster.raws() {
        assert_eq!(raw.get_prefix("r/").await.unwrap().count, expected);
        assert_eq!(raw.revision().await.unwrap(), revision);
        hashes.push(raw.hash_kv(HashKvRequest { revision }).await.unwrap().hash);
    }
    assert!(
        hashes.windows(2).all(|pair| pair[0] == pair[1]),
        "{hashes:?}"
    );
    for index in 0..size {
        cluster.terminate(index).await;
    }
    cluster.start_all().await;
    assert_eq!(
        cluster.raw(0).get_prefix("r/").await.unwrap().count,
        expected
    );
}

#[tokio::test]
async fn one_member_survives_restarts() {
    survives_restarts(1).await;
}

#[tokio::test]
async fn three_members_survive_restarts_of_any_and_all() {
    survives_restarts(3).await;
}

#[tokio::test]
async fn five_members_survive_restarts_of_any_and_all() {
    survives_restarts(5).await;
}

#[tokio::test]
async fn five_members_serve_with_two_dead_and_not_with_three() {
    let mut cluster = Cluster::start(5).await;
    cluster.raw(0).set("k", "v").await.unwrap();
    cluster.kill_together(&[3, 4]);
    let raw = cluster.raw(0).with_deadline(Duration::from_secs(1));
    wait_until("three of five serve", CONVERGE_DEADLINE, async || {
        raw.set("k", "w").await.ok()
    })
    .await;
    cluster.kill(2);
    assert!(
        raw.set("k", "lost").await.is_err(),
        "two of five are no majority"
    );
    let serializable = RangeRequest {
        key: "k".into(),
        serializable: true,
        ..Default::default()
    };
    let value = raw.range(serializable).await.unwrap().kvs.remove(0).value;
    assert_eq!(value, "w", "an uncommitted write is not shown");
    cluster.start_all().await;
}

#[tokio::test]
async fn a_large_store_serves_soon_after_a_restart() {
    let keys = std::env::var("MAINSTAY_RESTART_KEYS")
        .map_or(RESTART_KEYS, |text| text.parse().expect("a number of keys"));
    let mut cluster = Cluster::start(1).await;
    let raw = cluster.raw(0);
    fill(&raw, keys, VALUE_BYTES).await;
    let limit = if held_to_our_limits() {
        Duration::from_secs(1)
    } else {
        READY_DEADLINE
    };
    let mut times = Vec::new();
    for orderly in [false, true] {
        if orderly {
            cluster.terminate(0).await;
        } else {
            cluster.kill(0);
        }
        let begun = Instant::now();
        cluster.spawn(0);
        let last = key(keys - 1);
        // A new client: the old one may be waiting between two attempts to connect.
        let probe = cluster.raw(0).with_deadline(READY_DEADLINE);
        wait_until(
            "a linearizable read is answered",
            READY_DEADLINE,
            async || {
                let response = probe.get(last.clone()).await.ok()?;
                (response.count == 1).then_some(())
            },
        )
        .await;
        times.push(begun.elapsed());
    }
    println!("{keys} keys of {VALUE_BYTES} B served {times:?} after the start (killed, stopped)");
    assert!(
        times.iter().all(|time| *time <= limit),
        "{times:?} > {limit:?}"
    );
    let count = RangeRequest {
        key: "fill/".into(),
        range_end: prefix_end(b"fill/"),
        count_only: true,
        ..Default::default()
    };
    assert_eq!(raw.range(count).await.unwrap().count, keys as i64);
}
