//! The HTTP pages on the client port.

use crate::one;
use mainstay_tests::Cluster;
use mainstay_tests::http_get::{get, request};
use mainstay_tests::limits::CONVERGE_DEADLINE;
use mainstay_tests::wait_until;

#[tokio::test]
async fn health_version_and_metrics() {
    let (cluster, raw) = one().await;
    raw.set("k", "v").await.unwrap();
    let port = cluster.client_port(0);
    let health = get(port, "/health", None).await.unwrap();
    assert_eq!(health.status, 200);
    let health: serde_json::Value = serde_json::from_str(&health.body).unwrap();
    assert_eq!(health["health"], "true");
    assert_eq!(
        request("POST", port, "/health", None).await.unwrap().status,
        405
    );
    let version = get(port, "/version", None).await.unwrap();
    let version: serde_json::Value = serde_json::from_str(&version.body).unwrap();
    let (major, minor, patch) = cluster.server().version();
    assert_eq!(version["etcdserver"], format!("{major}.{minor}.{patch}"));
    assert_eq!(version["etcdcluster"], format!("{major}.{minor}.0"));
    let metrics = get(port, "/metrics", None).await.unwrap();
    assert_eq!(metrics.status, 200);
    for name in [
        "etcd_server_has_leader 1",
        "etcd_server_is_leader 1",
        "etcd_mvcc_db_total_size_in_bytes",
    ] {
        assert!(metrics.body.contains(name), "{name} in\n{}", metrics.body);
    }
    assert_eq!(get(port, "/nonsense", None).await.unwrap().status, 404);
}

#[tokio::test]
async fn liveness_and_readiness() {
    let (cluster, _raw) = one().await;
    if !cluster.server().at_least(3, 6) {
        println!("skipped: /livez and /readyz came with etcd 3.6");
        return;
    }
    let port = cluster.client_port(0);
    for path in [
        "/livez",
        "/readyz",
        "/livez/serializable_read",
        "/readyz/linearizable_read",
    ] {
        let answer = get(port, path, None).await.unwrap();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "ok\n"),
            "{path}"
        );
    }
    let verbose = get(port, "/readyz?verbose", None).await.unwrap();
    for check in ["data_corruption", "serializable_read", "linearizable_read"] {
        assert!(
            verbose.body.contains(&format!("[+]{check} ok")),
            "{}",
            verbose.body
        );
    }
}

#[tokio::test]
async fn health_fails_without_a_majority() {
    let mut cluster = Cluster::start(3).await;
    cluster.kill_together(&[1, 2]);
    let port = cluster.client_port(0);
    wait_until("/health says so", CONVERGE_DEADLINE, async || {
        let answer = get(port, "/health", None).await.ok()?;
        (answer.status == 503 && answer.body.contains(r#""health":"false""#)).then_some(())
    })
    .await;
}
