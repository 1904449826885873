//! endpoint, member, move-leader, alarm and defrag.

use crate::compare;
use crate::session::Session;
use mainstay_tests::limits::CONVERGE_DEADLINE;
use mainstay_tests::wait_until;

/// Waits until every member has told the others its name and client URLs.
async fn published(session: &Session) {
    wait_until(
        "all members have published their URLs",
        CONVERGE_DEADLINE,
        async || {
            let members = session.cluster.member_list(0).await;
            members
                .iter()
                .all(|member| !member.client_urls.is_empty())
                .then_some(())
        },
    )
    .await;
}

#[tokio::test]
async fn one_member_reports() {
    compare(1, async |session| {
        published(session).await;
        session.run("put k v").await;
        for format in ["simple", "json", "fields", "table"] {
            session.run(&format!("member list -w {format}")).await;
            session.run(&format!("endpoint status -w {format}")).await;
            session
                .run(&format!("endpoint status --cluster -w {format}"))
                .await;
            session.run(&format!("endpoint hashkv -w {format}")).await;
            // etcdctl 3.4 itself crashes on `alarm list -w fields`.
            if format != "fields" {
                session.run(&format!("alarm list -w {format}")).await;
            }
        }
        session.run("alarm list -w protobuf").await;
        session.run("endpoint health").await;
        session.run("endpoint health --cluster").await;
        session.run("endpoint hashkv --rev=1").await;
        session.run("endpoint hashkv --rev=99").await;
        session.run("alarm disarm").await;
        session.run("defrag").await;
        session.run("defrag --cluster").await;
        session.run("get k").await;
    })
    .await;
}

#[tokio::test]
async fn wrong_cluster_input() {
    compare(1, async |session| {
        published(session).await;
        session.run("member add").await;
        session.run("member add x").await;
        session.run("member add x --peer-urls=nonsense").await;
        session.run("member remove 123").await;
        session.run("member remove nothex").await;
        session.run("member remove").await;
        session
            .run("member update 123 --peer-urls=http://127.0.0.1:1")
            .await;
        session.run("member promote 123").await;
        session.run("move-leader 123").await;
        session.run("move-leader nothex").await;
        session.run("move-leader").await;
        session.run("alarm nonsense").await;
        session.run("endpoint nonsense").await;
        session.run("member list extra").await;
        let peer = session.cluster.peer_url(0);
        session
            .run(&format!("member add x --peer-urls={peer}"))
            .await;
    })
    .await;
}

#[tokio::test]
async fn members_are_added_updated_and_removed() {
    compare(1, async |session| {
        published(session).await;
        let added = session
            .run("member add later --learner --peer-urls=http://127.0.0.1:1")
            .await;
        let id = added
            .split_whitespace()
            .nth(1)
            .expect("Member ID added")
            .to_owned();
        session
            .run("member add more --learner --peer-urls=http://127.0.0.1:2")
            .await;
        session.run(&format!("member promote {id}")).await;
        session
            .run(&format!(
                "member update {id} --peer-urls=http://127.0.0.1:3"
            ))
            .await;
        session.run(&format!("member remove {id}")).await;
        session.run(&format!("member remove {id}")).await;
        session.run("member list").await;
        session.run("put k v").await;
    })
    .await;
}

#[tokio::test]
async fn three_members_report_and_the_leader_moves() {
    compare(3, async |session| {
        published(session).await;
        let endpoints = session.cluster.endpoints().join(",");
        session.run("put k v").await;
        let revision = session.cluster.raw(0).revision().await.unwrap();
        for raw in session.cluster.raws() {
            assert_eq!(raw.revision().await.unwrap(), revision);
        }
        session.run_sorted(&endpoints, "member list").await;
        session.run_sorted(&endpoints, "member list -w table").await;
        session.run_sorted(&endpoints, "endpoint health").await;
        session.run_sorted(&endpoints, "endpoint hashkv").await;
        session
            .run_on(&endpoints, &["get", "k", "-w", "json"], "")
            .await;
        session.run_on(&endpoints, &["alarm", "list"], "").await;
        session.run_on(&endpoints, &["defrag"], "").await;
        let follower = session.cluster.follower().await;
        let target = format!("{:x}", session.cluster.id(follower).await);
        let one = session.cluster.endpoint(follower);
        // Only a follower is asked: it has to say who must be.
        let refused = session.run_on(&one, &["move-leader", &target], "").await;
        assert_eq!(refused, "");
        let moved = session
            .run_on(&endpoints, &["move-leader", &target], "")
            .await;
        assert!(moved.contains(&target), "{moved}");
        assert_eq!(session.cluster.leader().await, follower);
        session.run_on(&endpoints, &["put", "k", "w"], "").await;
        session.run_on(&endpoints, &["get", "k"], "").await;
    })
    .await;
}
