//! How fast a cluster gets over the loss of its leader, and what a paused leader may not do.

use crate::held_to_our_limits;
use mainstay_proto::etcdserverpb::{RangeRequest, StatusRequest};
use mainstay_tests::limits::CONVERGE_DEADLINE;
use mainstay_tests::{Cluster, Raw, wait_until};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// From a leader's death to the next acknowledged write, at default timers. etcd 3.4 waits for one or two election
/// time-outs of up to two seconds each.
fn failover_limit() -> Duration {
    if held_to_our_limits() {
        Duration::from_secs(2)
    } else {
        Duration::from_secs(8)
    }
}

/// Until the first write begun now is acknowledged by one of the clients. A new attempt starts every few
/// milliseconds, because an attempt made without a leader may only end with its own time-out.
async fn first_acknowledged_write(raws: &[Raw]) -> Duration {
    let begun = Instant::now();
    let mut attempts = JoinSet::new();
    while begun.elapsed() < CONVERGE_DEADLINE {
        for raw in raws {
            let raw = raw.clone().with_deadline(Duration::from_secs(8));
            attempts.spawn(async move { raw.set("failover", "x").await.is_ok() });
        }
        let patience = tokio::time::sleep(Duration::from_millis(20));
        tokio::pin!(patience);
        loop {
            tokio::select! {
                () = &mut patience => break,
                Some(result) = attempts.join_next() => {
                    if result.expect("attempts do not panic") {
                        return begun.elapsed();
                    }
                }
            }
        }
    }
    panic!("no write was acknowledged within {CONVERGE_DEADLINE:?}");
}

#[tokio::test]
async fn writes_resume_within_two_seconds_of_a_leaders_death() {
    let mut cluster = Cluster::start(3).await;
    let mut times = Vec::new();
    for _ in 0..3 {
        let leader = cluster.leader().await;
        let survivors: Vec<usize> = (0..3).filter(|&index| index != leader).collect();
        let raws: Vec<Raw> = survivors.iter().map(|&index| cluster.raw(index)).collect();
        for raw in &raws {
            raw.set("before", "x").await.unwrap();
        }
        cluster.kill(leader);
        times.push(first_acknowledged_write(&raws).await);
        cluster.start_all().await;
    }
    println!("from a leader's death to the next acknowledged write: {times:?}");
    let longest = times.iter().max().unwrap();
    assert!(*longest <= failover_limit(), "{times:?}");
}

#[tokio::test]
async fn an_orderly_shutdown_of_the_leader_hands_over() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let raws: Vec<Raw> = (0..3)
        .filter(|&index| index != leader)
        .map(|index| cluster.raw(index))
        .collect();
    let term = raws[0].status(StatusRequest {}).await.unwrap().raft_term;
    for raw in &raws {
        raw.set("before", "x").await.unwrap();
    }
    cluster.signal_terminate(leader);
    let gap = first_acknowledged_write(&raws).await;
    let signalled = Instant::now();
    let status = cluster
        .exited(leader, Duration::from_secs(15))
        .await
        .expect("the leader exits");
    let exit = signalled.elapsed() + gap;
    println!(
        "from SIGTERM to the next acknowledged write {gap:?}, to the exit {exit:?} ({status})"
    );
    if held_to_our_limits() {
        // Like etcd, a server may end itself with the signal it got.
        assert!(status.success() || status.signal() == Some(15), "{status}");
        assert!(gap <= Duration::from_millis(700), "{gap:?}");
        assert!(exit <= Duration::from_millis(2500), "{exit:?}");
        let after = raws[0].status(StatusRequest {}).await.unwrap();
        assert_eq!(
            after.raft_term,
            term + 1,
            "one hand-over, not an election battle"
        );
    }
    cluster.start_all().await;
    assert_eq!(cluster.raw(leader).get("before").await.unwrap().count, 1);
}

#[tokio::test]
async fn a_paused_leader_never_serves_stale_data() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let others: Vec<Raw> = (0..3)
        .filter(|&index| index != leader)
        .map(|index| cluster.raw(index))
        .collect();
    let paused = cluster.raw(leader);
    paused.set("k", "old").await.unwrap();
    cluster.pause(leader);
    // These wait in the paused process's sockets and are answered the moment it goes on.
    let mut reads = JoinSet::new();
    for _ in 0..50 {
        let raw = paused.clone().with_deadline(Duration::from_secs(30));
        let linearizable = RangeRequest {
            key: "k".into(),
            ..Default::default()
        };
        reads.spawn(async move { raw.range(linearizable).await });
    }
    wait_until(
        "the others have a new leader and write",
        CONVERGE_DEADLINE,
        async || {
            let raw = others[0].clone().with_deadline(Duration::from_secs(1));
            raw.set("k", "new").await.ok()
        },
    )
    .await;
    cluster.resume(leader);
    let mut fresh = 0;
    while let Some(result) = reads.join_next().await {
        if let Ok(response) = result.unwrap() {
            assert_eq!(response.kvs[0].value, "new", "a stale linearizable read");
            fresh += 1;
        }
    }
    println!("{fresh} of 50 reads sent to the paused leader were answered, all with the new value");
    wait_until("the old leader follows", CONVERGE_DEADLINE, async || {
        let response = paused.get("k").await.ok()?;
        (response.kvs.first()?.value == "new").then_some(())
    })
    .await;
}
