//! Members come, catch up, move, leave, and lose their disks.

use crate::held_to_our_limits;
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::limits::{CONVERGE_DEADLINE, HEALTH_INTERVAL};
use mainstay_tests::load::fill;
use mainstay_tests::{Cluster, Options, Raw, wait_until};
use std::time::Duration;
use tonic::{Code, Status};

/// Retries a membership call while the cluster says it is not healthy long enough yet.
async fn when_healthy<T>(what: &str, mut call: impl AsyncFnMut() -> Result<T, Status>) -> T {
    wait_until(
        what,
        HEALTH_INTERVAL + CONVERGE_DEADLINE,
        async || match call().await {
            Ok(value) => Some(value),
            Err(status) => {
                let text = status.message();
                let passing = text.contains("unhealthy cluster")
                    || text.contains("not enough started members")
                    || text.contains("in sync with leader")
                    || text.contains("leader changed")
                    || text.contains("timed out");
                assert!(passing, "{what}: {status:?}");
                None
            }
        },
    )
    .await
}

/// Adds a member through the API, starts it, and waits until it has everything the others have.
async fn join(cluster: &mut Cluster, learner: bool) -> (usize, u64) {
    let raw = cluster.raw(0);
    let index = cluster.lay_out_joining();
    let url = cluster.peer_url(index);
    let request = pb::MemberAddRequest {
        peer_urls: vec![url.clone()],
        is_learner: learner,
    };
    let added = when_healthy("a member is added", async || {
        raw.member_add(request.clone()).await
    })
    .await;
    let member = added.member.expect("the answer names the new member");
    assert_eq!(member.peer_urls, [url]);
    assert_eq!(
        (member.name.as_str(), member.is_learner),
        ("", learner),
        "not started yet"
    );
    assert_eq!(added.members.len(), index + 1);
    cluster.spawn(index);
    (index, member.id)
}

/// Waits until a member answers serializable reads with everything below `prefix`.
async fn catches_up(raw: &Raw, prefix: &'static str, count: i64) {
    let request = pb::RangeRequest {
        key: prefix.into(),
        range_end: mainstay_tests::raw::prefix_end(prefix.as_bytes()),
        serializable: true,
        count_only: true,
        ..Default::default()
    };
    wait_until(
        "the new member has caught up",
        CONVERGE_DEADLINE,
        async || (raw.range(request.clone()).await.ok()?.count == count).then_some(()),
    )
    .await;
}

#[tokio::test]
async fn a_voter_joins_counts_and_leaves() {
    let mut cluster = Cluster::start(1).await;
    fill(&cluster.raw(0), 3000, 100).await;
    let (second, id) = join(&mut cluster, false).await;
    cluster.wait_ready(second).await;
    catches_up(&cluster.raw(second), "fill/", 3000).await;
    cluster
        .raw(second)
        .set("through-the-new-one", "x")
        .await
        .unwrap();
    let (third, _) = join(&mut cluster, false).await;
    cluster.wait_ready(third).await;
    catches_up(&cluster.raw(third), "fill/", 3000).await;

    let names: Vec<String> = cluster
        .member_list(0)
        .await
        .into_iter()
        .map(|member| member.name)
        .collect();
    assert_eq!(names.len(), 3);
    assert!(
        names.iter().all(|name| !name.is_empty()),
        "all have started: {names:?}"
    );

    // The new members carry the cluster without the first one.
    cluster.kill(0);
    let raw = cluster.raw(third).with_deadline(Duration::from_secs(1));
    wait_until("the joined members serve", CONVERGE_DEADLINE, async || {
        raw.set("k", "v").await.ok()
    })
    .await;
    cluster.start_member(0).await;

    let raw = cluster.raw(third);
    let request = pb::MemberRemoveRequest { id };
    let left = when_healthy("the second member is removed", async || {
        raw.member_remove(request).await
    })
    .await;
    assert_eq!(left.members.len(), 2);
    cluster
        .exited(second, CONVERGE_DEADLINE)
        .await
        .expect("a removed member stops serving");
    // Retried, because the removed one may have been the leader.
    let impatient = raw.clone().with_deadline(Duration::from_secs(2));
    let again = wait_until(
        "removing it again is refused",
        CONVERGE_DEADLINE,
        async || {
            let status = impatient.member_remove(request).await.unwrap_err();
            (status.code() == Code::NotFound).then(|| status.message().to_owned())
        },
    )
    .await;
    assert_eq!(again, "etcdserver: member not found");
    // Its name is not enough to come back with the old disk.
    cluster.spawn(second);
    cluster
        .exited(second, CONVERGE_DEADLINE)
        .await
        .expect("a removed member cannot come back");
    assert_eq!(raw.get("k").await.unwrap().count, 1);
}

/// It was ready as soon as its name was known, up to a tick before it got its vote: ending the first member then
/// left a cluster of two voters and one vote.
#[tokio::test]
async fn a_joined_member_that_is_ready_is_counted_on_at_once() {
    let mut cluster = Cluster::start(1).await;
    for _ in 0..2 {
        let (index, _) = join(&mut cluster, false).await;
        cluster.wait_ready(index).await;
    }
    cluster.kill(0);
    let raw = cluster.raw(2).with_deadline(Duration::from_secs(1));
    wait_until("the joined members serve", CONVERGE_DEADLINE, async || {
        raw.set("k", "v").await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_learner_joins_serves_little_and_is_promoted() {
    let mut cluster = Cluster::start(3).await;
    fill(&cluster.raw(0), 3000, 100).await;
    let (learner, id) = join(&mut cluster, true).await;
    let raw = cluster.raw(learner);
    catches_up(&raw, "fill/", 3000).await;
    let status = raw.status(pb::StatusRequest {}).await.unwrap();
    assert!(status.is_learner);
    assert_ne!(status.leader, 0);
    let refused = [
        raw.get("k").await.unwrap_err(),
        raw.set("k", "v").await.unwrap_err(),
    ];
    for status in refused {
        assert_eq!(
            status.message(),
            "etcdserver: rpc not supported for learner"
        );
        assert_eq!(status.code(), expected_learner_code(&cluster));
    }
    let target = pb::MoveLeaderRequest { target_id: id };
    let leader = leader_of(&mut cluster, 3).await;
    let refused = cluster.raw(leader).move_leader(target).await.unwrap_err();
    if cluster.server().at_least(3, 5) {
        assert_eq!(refused.message(), "etcdserver: bad leader transferee");
        assert_eq!(refused.code(), Code::FailedPrecondition);
    }
    let second = pb::MemberAddRequest {
        peer_urls: vec!["http://127.0.0.1:1".into()],
        is_learner: true,
    };
    let refused = cluster.raw(0).member_add(second).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "etcdserver: too many learner members in cluster"
    );
    let voter = pb::MemberPromoteRequest {
        id: cluster.id(0).await,
    };
    let refused = cluster.raw(0).member_promote(voter).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "etcdserver: can only promote a learner member"
    );
    let nobody = pb::MemberPromoteRequest { id: 1 };
    let refused = cluster.raw(0).member_promote(nobody).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::NotFound, "etcdserver: member not found")
    );

    let request = pb::MemberPromoteRequest { id };
    let through = cluster.raw(0);
    let promoted = when_healthy("the learner is promoted", async || {
        through.member_promote(request).await
    })
    .await;
    assert!(promoted.members.iter().all(|member| !member.is_learner));
    cluster.wait_ready(learner).await;
    raw.set("k", "v").await.unwrap();
    // Its vote counts: with one old member dead, three of four are needed and there.
    cluster.kill(0);
    let raw = raw.with_deadline(Duration::from_secs(1));
    wait_until("the promoted member votes", CONVERGE_DEADLINE, async || {
        raw.set("k", "w").await.ok()
    })
    .await;
}

fn expected_learner_code(cluster: &Cluster) -> Code {
    // 3.4 answers Unavailable, so that clients try another member.
    if cluster.server().at_least(3, 5) {
        Code::FailedPrecondition
    } else {
        Code::Unavailable
    }
}

/// The leader among the first `count` members.
async fn leader_of(cluster: &mut Cluster, count: usize) -> usize {
    let leader = cluster.leader().await;
    assert!(leader < count, "a learner does not lead");
    leader
}

#[tokio::test]
async fn a_member_moves_to_another_peer_url() {
    let mut cluster = Cluster::start(3).await;
    let follower = cluster.follower().await;
    let (id, through) = (cluster.id(follower).await, cluster.raw((follower + 1) % 3));
    cluster.kill(follower);
    cluster.move_peer_port(follower);
    let url = cluster.peer_url(follower);
    let request = pb::MemberUpdateRequest {
        id,
        peer_urls: vec![url.clone()],
    };
    let updated = when_healthy("the member is updated", async || {
        through.member_update(request.clone()).await
    })
    .await;
    let member = updated
        .members
        .iter()
        .find(|member| member.id == id)
        .expect("it is still listed");
    assert_eq!(member.peer_urls, [url]);
    through.set("moved", "x").await.unwrap();
    cluster.start_member(follower).await;
    assert_eq!(cluster.id(follower).await, id, "the id stays");
    assert_eq!(cluster.raw(follower).get("moved").await.unwrap().count, 1);

    let nobody = pb::MemberUpdateRequest {
        id: 1,
        peer_urls: vec!["http://127.0.0.1:1".into()],
    };
    let refused = through.member_update(nobody).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::NotFound, "etcdserver: member not found")
    );
    let taken = pb::MemberUpdateRequest {
        id,
        peer_urls: vec![cluster.peer_url((follower + 1) % 3)],
    };
    let refused = through.member_update(taken).await.unwrap_err();
    assert_eq!(refused.message(), "etcdserver: Peer URLs already exists");
}

#[tokio::test]
async fn impossible_additions_are_refused() {
    let cluster = Cluster::start(1).await;
    let raw = cluster.raw(0);
    let add = async |url: &str| {
        let request = pb::MemberAddRequest {
            peer_urls: vec![url.to_owned()],
            is_learner: false,
        };
        let status = raw.member_add(request).await.unwrap_err();
        (status.code(), status.message().to_owned())
    };
    let invalid = (
        Code::InvalidArgument,
        "etcdserver: given member URLs are invalid".to_owned(),
    );
    assert_eq!(add("not a url").await, invalid);
    assert_eq!(add("http://127.0.0.1").await, invalid, "a port is needed");
    let exists = (
        Code::FailedPrecondition,
        "etcdserver: Peer URLs already exists".to_owned(),
    );
    assert_eq!(add(&cluster.peer_url(0)).await, exists);
    let request = pb::MemberRemoveRequest { id: 1 };
    let status = raw.member_remove(request).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "etcdserver: member not found")
    );
    assert_eq!(
        raw.member_list(pb::MemberListRequest { linearizable: true })
            .await
            .unwrap()
            .members
            .len(),
        1
    );
}

#[tokio::test]
async fn a_wiped_member_cannot_start_a_second_cluster() {
    let mut cluster = Cluster::start(3).await;
    cluster.raw(0).set("k", "v").await.unwrap();
    wait_until(
        "all members have published their URLs",
        CONVERGE_DEADLINE,
        async || {
            let members = cluster.member_list(0).await;
            members
                .iter()
                .all(|member| !member.client_urls.is_empty())
                .then_some(())
        },
    )
    .await;
    cluster.kill(2);
    cluster.wipe(2);
    // Its flags still say "new": it must find out that it has been a member before.
    cluster.spawn(2);
    cluster
        .exited(2, CONVERGE_DEADLINE)
        .await
        .expect("it refuses to start");
    // It may have been the leader.
    let raw = cluster.raw(0).with_deadline(Duration::from_secs(1));
    wait_until("the others go on", CONVERGE_DEADLINE, async || {
        raw.set("k", "w").await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_wiped_member_does_not_vote_under_its_old_id() {
    if !held_to_our_limits() {
        println!("skipped: etcd lets a wiped member back in when its flags say \"existing\"");
        return;
    }
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let (wiped, other) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.raw(leader).set("k", "v").await.unwrap();
    cluster.kill(wiped);
    cluster.wipe(wiped);
    cluster.set_initial_state(wiped, "existing");
    cluster.spawn(wiped);
    // With the leader gone, one member that remembers and one that forgot must not make a majority: together they
    // could elect a leader without what the wiped one once acknowledged.
    cluster.kill(leader);
    let raw = cluster.raw(other).with_deadline(Duration::from_secs(8));
    let result = raw.set("k", "split").await;
    assert!(result.is_err(), "a wiped member voted: {result:?}");
    cluster.start_member(leader).await;
    assert_eq!(cluster.raw(leader).get("k").await.unwrap().count, 1);

    // The way back is a new id.
    if cluster.runs(wiped) {
        cluster.kill(wiped);
    }
    let id = cluster
        .member_list(other)
        .await
        .iter()
        .find(|member| member.name == cluster.name(wiped))
        .unwrap()
        .id;
    let raw = cluster.raw(other);
    let request = pb::MemberRemoveRequest { id };
    when_healthy("the wiped member is removed", async || {
        raw.member_remove(request).await
    })
    .await;
    let request = pb::MemberAddRequest {
        peer_urls: vec![cluster.peer_url(wiped)],
        is_learner: false,
    };
    let added = when_healthy("it is added anew", async || {
        raw.member_add(request.clone()).await
    })
    .await;
    assert_ne!(added.member.unwrap().id, id);
    if cluster.data_dir(wiped).exists() {
        cluster.wipe(wiped);
    }
    cluster.start_member(wiped).await;
    assert_eq!(cluster.raw(wiped).get_prefix("k").await.unwrap().count, 1);
}

/// The first database of a member is replaced when it installs a snapshot; it once stayed until the next start.
async fn came_by_snapshot(cluster: &Cluster, member: usize) {
    if !held_to_our_limits() {
        return;
    }
    let state = cluster.data_dir(member).join("member/state");
    let text = std::fs::read_to_string(state.join("CURRENT")).expect("the member has a database");
    let current = text.split_whitespace().next().expect("it names one");
    assert_ne!(current, "db-1", "the log alone brought the member up");
    wait_until(
        "the former database is gone",
        CONVERGE_DEADLINE,
        async || {
            let there = std::fs::read_dir(&state).unwrap();
            let mut names = there.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let gone = names.all(|name| name == current || !name.starts_with("db-"));
            gone.then_some(())
        },
    )
    .await;
}

#[tokio::test]
async fn a_new_member_catches_up_by_snapshot() {
    // So few entries are kept that the log alone cannot bring a newcomer up.
    let options = Options::default().flag("--snapshot-count=10");
    let mut cluster = Cluster::start_with(1, options).await;
    fill(&cluster.raw(0), 20_000, 100).await;
    let (second, _) = join(&mut cluster, false).await;
    cluster.wait_ready(second).await;
    catches_up(&cluster.raw(second), "fill/", 20_000).await;
    came_by_snapshot(&cluster, second).await;
    // Whatever came as files and whatever as log entries: both hold the same.
    let hash = pb::HashKvRequest { revision: 0 };
    wait_until("the members agree", CONVERGE_DEADLINE, async || {
        let here = cluster.raw(0).hash_kv(hash).await.ok()?;
        let there = cluster.raw(second).hash_kv(hash).await.ok()?;
        let same = (here.hash, here.compact_revision) == (there.hash, there.compact_revision);
        same.then_some(())
    })
    .await;
    // It is a full member: the cluster goes on when the first one restarts, and so does it.
    cluster.kill(second);
    cluster.start_member(second).await;
    catches_up(&cluster.raw(second), "fill/", 20_000).await;
    cluster.raw(second).set("after", "restart").await.unwrap();
}

#[tokio::test]
async fn a_member_that_was_away_for_long_catches_up_and_its_watchers_miss_nothing() {
    let options = Options::default().flag("--snapshot-count=10");
    let mut cluster = Cluster::start_with(3, options).await;
    let leader = cluster.leader().await;
    let away = (leader + 1) % 3;
    let from = cluster.raw(leader).set("fill/start", "x").await.unwrap();
    cluster.kill(away);
    fill(&cluster.raw(leader), 20_000, 100).await;
    cluster.start_member(away).await;
    let mut stream = cluster.raw(away).watch_stream();
    stream
        .created(pb::WatchCreateRequest {
            key: "fill/".into(),
            range_end: mainstay_tests::raw::prefix_end(b"fill/"),
            start_revision: from,
            ..Default::default()
        })
        .await;
    let (mut last, mut seen) = (from, 0);
    while seen < 20_001 {
        for event in stream.next().await.expect("the watch goes on").events {
            let at = event.kv.expect("events have keys").mod_revision;
            assert!(at == last || at == last + 1, "revision {at} after {last}");
            (last, seen) = (at, seen + 1);
        }
    }
    assert_eq!(seen, 20_001, "each event once");
}
