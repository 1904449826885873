//! Controllers as a process that starts with nothing but upstream's identity for it.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Event, ServiceAccount};
use kube::Api;
use kube::api::ListParams;
use mainstay_component_tests::{Program, World};
use mainstay_tests::apiserver::Apiserver;
use mainstay_tests::ports::Port;
use mainstay_tests::rest::Rest;
use mainstay_tests::wait_until;
use serde_json::json;

use crate::PATIENCE;

/// token,user,uid,groups
const TOKENS: &str =
    "manager-token,system:kube-controller-manager,1\nscraper-token,scraper,2,system:monitoring\n";

fn kubeconfig(server: &Apiserver) -> String {
    let (ca, port) = (server.pki().join("ca.crt"), server.port());
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": ca,
        }}],
        "users": [{"name": "u", "user": {"token": "manager-token"}}],
    });
    config.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_controller_has_credentials_of_its_own_and_pages_are_for_who_may_see_them() {
    let world = World::start().await;
    let dir = tempfile::tempdir().unwrap();
    let pki = world.server.pki();
    let server = world.server_with_tokens(dir.path(), TOKENS).await;
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig(&server)).unwrap();
    let pages = Port::take();
    let mut manager = Program::with_pages("controllers", &path, pki, &pages, &[]);

    // The manager's own identity may not create pods; that of the replica set controller may.
    let scene = world.scene().await;
    let labels = json!({"app": "web"});
    let _: ReplicaSet = scene
        .create(json!({
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "c", "image": "i"}]},
                },
            },
        }))
        .await;
    wait_until("there are pods", PATIENCE, async || {
        assert!(manager.runs(), "{}", manager.log());
        (scene.live_pods().await.len() == 2).then_some(())
    })
    .await;
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), "kube-system");
    for name in ["replicaset-controller", "replication-controller"] {
        assert!(accounts.get_opt(name).await.unwrap().is_some(), "{name}");
    }

    let pages = Rest::new(pages.number(), pki).without_certificate();
    assert_eq!(pages.call("GET /healthz", "").await.body, "ok");
    assert_eq!(pages.call("GET /metrics", "").await.status, 403);
    let wrong = "GET /metrics\nauthorization: Bearer nonsense";
    assert_eq!(pages.call(wrong, "").await.status, 401);
    let scraped = "GET /metrics\nauthorization: Bearer scraper-token";
    let metrics = pages.call(scraped, "").await;
    assert_eq!(metrics.status, 200, "{}", metrics.body);
    let host = format!("127.0.0.1:{}", server.port());
    for figure in [
        "leader_election_master_status{name=\"kube-controller-manager\"} 1".to_owned(),
        format!("rest_client_requests_total{{code=\"201\",method=\"POST\",host=\"{host}\"}}"),
        "workqueue_adds_total{name=\"replicaset\"}".to_owned(),
        "process_resident_memory_bytes ".to_owned(),
    ] {
        assert!(metrics.body.contains(&figure), "{figure}: {}", metrics.body);
    }

    // What was told last is written before the end.
    assert_eq!(manager.terminate().await, Some(0), "{}", manager.log());
    let events = scene.api::<Event>().list(&ListParams::default()).await;
    let told = events.unwrap().items.into_iter().filter(|event| {
        event.reporting_component.as_deref() == Some("replicaset-controller")
            && event.reason.as_deref() == Some("SuccessfulCreate")
    });
    assert_eq!(told.count(), 2);
    let log = manager.log();
    assert!(!log.contains("-token\"") && !log.contains("eyJ"), "{log}");
}
