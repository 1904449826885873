//! Repair when more goes wrong: no majority, no peers, and kills in the middle of it.

use super::repairs_itself;
use mainstay_faults::files::{Damage, FileKind, Spot};
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::corruption::{Harm, Vitals, options};
use mainstay_tests::http_get;
use mainstay_tests::load::fill;
use mainstay_tests::raw::prefix_end;
use mainstay_tests::wait::wait_until;
use mainstay_tests::{Cluster, Raw};
use std::time::Duration;

/// For whatever takes some elections and a snapshot.
const DEADLINE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(2);

fn log_damage(seed: u64) -> Harm {
    Harm {
        kind: FileKind::WalSegment,
        damage: Damage::FlipBits(1),
        spot: Spot::At(300),
        seed,
    }
}

async fn damage_and_start(cluster: &mut Cluster, member: usize) {
    cluster.kill(member);
    let injury = log_damage(0).inflict(cluster, member);
    println!("{}", injury.expect("the log can be damaged").proof());
    cluster.spawn(member);
}

async fn in_repair(cluster: &Cluster, member: usize) -> Vitals {
    wait_until("the member is in repair", DEADLINE, async || {
        Vitals::of(cluster, member)
            .await
            .filter(|vitals| vitals.repairing)
    })
    .await
}

async fn well(cluster: &Cluster, member: usize) -> Vitals {
    wait_until("the member is well", DEADLINE, async || {
        Vitals::of(cluster, member).await.filter(Vitals::is_well)
    })
    .await
}

/// What a client and a probe meet at a member in repair.
async fn serves_nothing(cluster: &Cluster, member: usize) {
    let raw = cluster.raw(member).with_deadline(SHORT);
    let request = pb::RangeRequest {
        key: "k".into(),
        serializable: true,
        ..Default::default()
    };
    let status = raw.range(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
    assert!(status.message().contains("data is damaged"), "{status:?}");
    let port = cluster.client_port(member);
    let health = http_get::get(port, "/health", None).await.unwrap();
    assert_eq!(
        (health.status, health.body.contains("CORRUPT")),
        (503, true)
    );
    let ready = http_get::get(port, "/readyz", None).await.unwrap();
    assert_eq!(ready.status, 503);
    let live = http_get::get(port, "/livez", None).await.unwrap();
    assert_eq!(live.status, 200);
}

#[tokio::test]
async fn a_single_damaged_member_halts_and_says_what_to_do() {
    if !repairs_itself() {
        return;
    }
    let mut cluster = Cluster::start_with(1, options()).await;
    cluster.raw(0).set("k", "v").await.unwrap();
    damage_and_start(&mut cluster, 0).await;
    in_repair(&cluster, 0).await;
    serves_nothing(&cluster, 0).await;
    let status = cluster.raw(0).set("k", "w").await.unwrap_err();
    assert!(
        status
            .message()
            .contains("restore the data directory from a backup"),
        "{status:?}"
    );
    assert!(cluster.runs(0));
    let (status, _) = cluster.terminate(0).await;
    assert!(status.success());
}

#[tokio::test]
async fn damage_on_a_majority_halts_and_loses_nothing() {
    if !repairs_itself() {
        return;
    }
    let mut cluster = Cluster::start_with(3, options()).await;
    cluster.raw(0).set("k", "v").await.unwrap();
    for member in [1, 2] {
        cluster.kill(member);
    }
    for member in [1, 2] {
        log_damage(0)
            .inflict(&cluster, member)
            .expect("the log can be damaged");
        cluster.spawn(member);
    }
    for member in [1, 2] {
        in_repair(&cluster, member).await;
        serves_nothing(&cluster, member).await;
    }
    // The healthy one alone is no majority, whatever the others have forgotten.
    let raw = cluster.raw(0).with_deadline(Duration::from_secs(5));
    let status = raw.set("k", "w").await.unwrap_err();
    println!("{status:?}");
    let request = pb::RangeRequest {
        key: "k".into(),
        serializable: true,
        ..Default::default()
    };
    let seen = cluster.raw(0).range(request).await.unwrap();
    assert_eq!(seen.kvs[0].value, "v", "its own data is as it was");
    for member in [1, 2] {
        assert!(cluster.runs(member), "it waits");
        assert!(Vitals::of(&cluster, member).await.unwrap().repairing);
    }
}

#[tokio::test]
async fn repair_waits_for_a_majority_and_goes_on_by_itself() {
    if !repairs_itself() {
        return;
    }
    let mut cluster = Cluster::start_with(3, options()).await;
    cluster.raw(0).set("k", "v").await.unwrap();
    cluster.kill(1);
    damage_and_start(&mut cluster, 2).await;
    in_repair(&cluster, 2).await;
    assert!(
        cluster
            .raw(0)
            .with_deadline(SHORT)
            .set("k", "w")
            .await
            .is_err()
    );
    cluster.start_member(1).await;
    let vitals = well(&cluster, 2).await;
    assert_eq!(vitals.findings.repairs, 1);
    // Its vote counts again: with it and one other there is a majority.
    cluster.kill(0);
    let raw = cluster.raw(2).with_deadline(SHORT);
    wait_until("two of three go on", DEADLINE, async || {
        raw.set("k", "x").await.ok()
    })
    .await;
    assert_eq!(value(&cluster.raw(2)).await, "x");
}

async fn value(raw: &Raw) -> String {
    let response = raw.get("k").await.unwrap();
    String::from_utf8(response.kvs[0].value.to_vec()).unwrap()
}

#[tokio::test]
async fn a_kill_at_any_moment_of_a_repair_only_delays_it() {
    if !repairs_itself() {
        return;
    }
    let mut cluster = Cluster::start_with(3, options()).await;
    fill(&cluster.raw(0), 20_000, 200).await;
    let before = cluster.member_list(0).await;
    damage_and_start(&mut cluster, 2).await;
    in_repair(&cluster, 2).await;
    // From asking to being filled and voting takes about a second or two here.
    for pause_ms in [10, 40, 120, 250, 400, 600, 900, 1300] {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        assert!(cluster.runs(2), "it ended instead of being repaired");
        cluster.kill(2);
        cluster.spawn(2);
        assert_eq!(
            cluster.member_list(0).await,
            before,
            "it stays in the list all the time"
        );
    }
    let vitals = well(&cluster, 2).await;
    assert_eq!(vitals.findings.found.len(), 1, "{vitals:?}");
    let request = pb::RangeRequest {
        key: "fill/".into(),
        range_end: prefix_end(b"fill/"),
        count_only: true,
        ..Default::default()
    };
    for member in 0..3 {
        let response = cluster.raw(member).range(request.clone()).await.unwrap();
        assert_eq!(response.count, 20_000, "member {member} has everything");
    }
    assert_eq!(cluster.member_list(2).await, before);
}

#[tokio::test]
async fn a_member_under_repair_can_be_removed_for_good() {
    if !repairs_itself() {
        return;
    }
    let mut cluster = Cluster::start_with(3, options()).await;
    cluster.raw(0).set("k", "v").await.unwrap();
    let id = cluster.id(2).await;
    cluster.kill(1);
    damage_and_start(&mut cluster, 2).await;
    in_repair(&cluster, 2).await;
    cluster.kill(2);
    cluster.start_member(1).await;
    let raw = cluster.raw(0);
    let request = pb::MemberRemoveRequest { id };
    wait_until("it is removed", DEADLINE, async || {
        raw.member_remove(request).await.ok()
    })
    .await;
    cluster.spawn(2);
    wait_until("it says that it is no member", DEADLINE, async || {
        let status = cluster
            .raw(2)
            .with_deadline(SHORT)
            .set("k", "w")
            .await
            .err()?;
        status
            .message()
            .contains("does not count this member")
            .then_some(())
    })
    .await;
    assert_eq!(cluster.member_list(0).await.len(), 2);
}
