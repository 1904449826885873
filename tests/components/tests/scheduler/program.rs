//! The program: what it shows of itself, and what it refuses.

use mainstay_component_tests::{Program, World};
use mainstay_tests::ports::Port;
use mainstay_tests::rest::Rest;
use mainstay_tests::wait_until;
use serde_json::json;

use crate::DONE;
use crate::support::{asks, bound, pod, refused, told};

/// token,user,uid,groups
const TOKENS: &str = "scraper-token,scraper,2,system:monitoring\n";

const SCRAPE: &str = "GET /metrics\nauthorization: Bearer scraper-token";

/// Upstream's names, with what must have been counted.
const FIGURES: &[&str] = &[
    "leader_election_master_status{name=\"kube-scheduler\"} 1\n",
    "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"scheduled\"} 2\n",
    "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"unschedulable\"} 1\n",
    "scheduler_scheduling_attempt_duration_seconds_count{profile=\"default-scheduler\",result=\"scheduled\"} 2\n",
    "scheduler_scheduling_algorithm_duration_seconds_count 3\n",
    "scheduler_pod_scheduling_attempts_count 2\n",
    "scheduler_pod_scheduling_sli_duration_seconds_count{attempts=\"1\"} 2\n",
    "scheduler_pending_pods{queue=\"active\"} 0\n",
    "scheduler_pending_pods{queue=\"backoff\"} 0\n",
    "scheduler_pending_pods{queue=\"unschedulable\"} 1\n",
    "scheduler_pending_pods{queue=\"gated\"} 1\n",
    "scheduler_cache_size{type=\"nodes\"} 1\n",
    "scheduler_cache_size{type=\"pods\"} 2\n",
    "scheduler_goroutines{operation=\"binding\"} 0\n",
    "rest_client_requests_total{code=\"201\",method=\"POST\"",
    "process_resident_memory_bytes ",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_works_with_upstreams_role_alone_and_shows_its_pages() {
    let world = World::start().await;
    let dir = tempfile::tempdir().unwrap();
    let pki = world.server.pki();
    let server = world.server_with_tokens(dir.path(), TOKENS).await;
    let pages = Port::take();
    let kubeconfig = pki.join("scheduler.kubeconfig");
    let more = [format!("--master=https://127.0.0.1:{}", server.port())];
    let mut running = Program::with_pages("scheduler", &kubeconfig, pki, &pages, &more);
    let scene = world.scene().await;
    world.node("a", json!({})).await;
    let shown = Rest::new(pages.number(), pki).without_certificate();
    // A pod whose watch is faster than the node's would be tried once in vain, and counted.
    wait_until("the node is known", DONE, async || {
        let body = shown.try_call(SCRAPE, "").await.ok()?.body;
        body.contains("scheduler_cache_size{type=\"nodes\"} 1\n")
            .then_some(())
    })
    .await;
    for name in ["one", "two"] {
        pod(&scene, name, asks(json!({"cpu": "1"}))).await;
        assert_eq!(bound(&scene, name).await, "a");
        told(&scene, name, "Scheduled").await;
    }
    pod(&scene, "large", asks(json!({"cpu": "3"}))).await;
    refused(&scene, "large").await;
    told(&scene, "large", "FailedScheduling").await;
    let gates = json!({"spec": {"schedulingGates": [{"name": "g"}]}});
    pod(&scene, "gated", gates).await;

    for page in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(shown.call(&format!("GET {page}"), "").await.body, "ok");
    }
    assert_eq!(shown.call("GET /metrics", "").await.status, 403);
    wait_until("the figures are right", DONE, async || {
        let metrics = shown.call(SCRAPE, "").await;
        assert_eq!(metrics.status, 200, "{}", metrics.body);
        let missing = |figure: &&&str| !metrics.body.contains(**figure);
        let missing: Vec<_> = FIGURES.iter().filter(missing).collect();
        assert!(
            missing.len() < FIGURES.len(),
            "{missing:?} of {}",
            metrics.body
        );
        missing.is_empty().then_some(())
    })
    .await;
    assert_eq!(running.terminate().await, Some(0), "{}", running.log());
    let log = running.log();
    assert!(
        !log.contains("forbidden") && !log.contains("ERROR"),
        "{log}"
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    let text = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nextenders: []\n";
    std::fs::write(&config, text).unwrap();
    for (flags, says) in [
        (vec![format!("--config={}", config.display())], "extenders"),
        (
            vec!["--config=/there/is/none".to_owned()],
            "/there/is/none: No such file",
        ),
        (
            vec!["--kubeconfig=/there/is/none".to_owned()],
            "/there/is/none",
        ),
        (
            vec!["--leader-elect-lease-duration=never".to_owned()],
            "\"never\" is not a duration such as 90s",
        ),
    ] {
        let mut program = Program::start("scheduler", &flags);
        let code = program.ended(DONE).await;
        let log = program.log();
        assert!(matches!(code, Some(1 | 2)), "{code:?}: {log}");
        assert!(log.contains(says), "{log}");
    }
}
