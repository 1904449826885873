//! `--quota-backend-bytes`, with etcd's own tool and beside etcd.

use super::{alarms_of, assert_no_space, compact_now, put, value};
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::{Cluster, Options, Server};
use std::io::Write;
use std::process::{Command, Stdio};

const QUOTA_BYTES: i64 = 16 << 20;
const VALUE_BYTES: usize = 100_000;

fn with_quota(server: Server) -> Options {
    let options = Options {
        server,
        ..Options::default()
    };
    options.flag(format!("--quota-backend-bytes={QUOTA_BYTES}"))
}

/// Runs etcdctl and returns what it says, without the member's id and the client's own log lines.
fn etcdctl(cluster: &Cluster, id: u64, input: &[u8], args: &[&str]) -> String {
    let mut child = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &cluster.endpoint(0)])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("etcdctl is installed (scripts/setup)");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8(text).unwrap();
    let kept = text.lines().filter(|line| !line.starts_with('{'));
    let said = kept.collect::<Vec<_>>().join("\n");
    said.replace(&id.to_string(), "ID")
        .replace(&cluster.endpoint(0), "ENDPOINT")
}

/// From empty to full to writable again, and everything etcdctl said.
async fn flow(server: Server) -> Vec<String> {
    let cluster = Cluster::start_with(1, with_quota(server)).await;
    let (raw, id) = (cluster.raw(0), cluster.id(0).await);
    let mut said = vec![etcdctl(&cluster, id, b"", &["alarm", "list"])];
    let mut accepted = 0;
    loop {
        let request = pb::PutRequest {
            key: "key".into(),
            value: value(accepted, VALUE_BYTES),
            ..Default::default()
        };
        match raw.put(request).await {
            Ok(_) => accepted += 1,
            refused => break assert_no_space(refused),
        }
        assert!(accepted < 1000, "the quota was never reached");
    }
    println!("{accepted} values of {VALUE_BYTES} bytes fit {QUOTA_BYTES}");
    let revision = super::revision(&raw).await;
    let mut run = |input: &str, args: &[&str]| {
        let text = etcdctl(&cluster, id, input.as_bytes(), args);
        said.push(text.replace(&revision.to_string(), "REVISION"));
    };
    run("", &["alarm", "list"]);
    run("", &["put", "other", "x"]);
    run("", &["lease", "grant", "60"]);
    run("\n\nput other x\n\n\n", &["txn"]);
    run("\n\ndel other\n\n\n", &["txn"]);
    run("", &["get", "other"]);
    run("", &["del", "other"]);
    run("", &["endpoint", "health"]);
    // Disarming alone does not help: the next write raises it again.
    run("", &["alarm", "disarm"]);
    run("x".repeat(500_000).as_str(), &["put", "other"]);
    run("", &["alarm", "list"]);
    run("", &["compact", &revision.to_string()]);
    run("", &["defrag"]);
    run("", &["alarm", "disarm"]);
    run("", &["alarm", "list"]);
    run("", &["put", "other", "x"]);
    said
}

#[tokio::test]
async fn the_flow_is_etcds() {
    let ours = flow(Server::under_test()).await;
    for line in &ours {
        println!("{line}");
    }
    assert_eq!(ours[1], "memberID:ID alarm:NOSPACE ");
    assert_eq!(ours.last().unwrap(), "OK");
    let Some(etcd) = Server::debian_etcd() else {
        println!("SKIPPED: no /usr/bin/etcd to compare with");
        return;
    };
    let theirs = flow(etcd).await;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        // How long a health check took differs.
        let of = |text: &str| text.split("took =").next().unwrap_or_default().to_owned();
        assert_eq!(of(ours), of(theirs));
    }
}

/// The room that a compaction gives back counts without an explicit `defrag`.
#[tokio::test]
async fn compacting_and_disarming_is_enough_on_every_member() {
    let cluster = Cluster::start_with(3, with_quota(Server::under_test())).await;
    let raws = cluster.raws();
    let mut accepted = 0;
    for round in 0..3 {
        let refused = loop {
            match raws[round].put(put(0, VALUE_BYTES)).await {
                Ok(_) => accepted += 1,
                Err(refused) => break refused,
            }
            assert!(accepted < 3000, "the quota was never reached");
        };
        assert_no_space::<()>(Err(refused));
        let status = raws[round].status(pb::StatusRequest {}).await.unwrap();
        assert_eq!(status.db_size_quota, QUOTA_BYTES);
        let alarms = alarms_of(&raws[0]).await.unwrap();
        assert_eq!(alarms, [(cluster.id(round).await, 1)]);
        compact_now(&raws[round]).await;
        let disarm = pb::AlarmRequest {
            action: 2,
            member_id: alarms[0].0,
            alarm: 1,
        };
        raws[round].alarm(disarm).await.unwrap();
        for raw in &raws {
            raw.put(put(1, VALUE_BYTES)).await.unwrap();
        }
        assert_eq!(alarms_of(&raws[0]).await.unwrap(), []);
    }
}

#[tokio::test]
async fn without_a_limit_none_is_reported() {
    for flag in ["--quota-backend-bytes=0", "--quota-backend-bytes=-5"] {
        let cluster = Cluster::start_with(1, Options::default().flag(flag)).await;
        let status = cluster.raw(0).status(pb::StatusRequest {}).await.unwrap();
        assert_eq!(status.db_size_quota, -1);
    }
}
