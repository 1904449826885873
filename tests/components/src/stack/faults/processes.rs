//! Those who look after containers and services die, and are started again.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use mainstay_tests::wait_until;

use super::Findings;
use super::ground::Ground;
use super::watch::Watch;
use crate::pods::is_ready;
use crate::stack::figures::seconds;
use crate::stack::limits::DONE;
use crate::stack::pods::node;

/// Of a worker, with what each is for.
const PROCESSES: [&str; 5] = ["kubelet", "containerd", "proxy", "network", "balancer"];
/// How long a pod may get no answers by name when one of two servers of DNS dies: a resolver asks again after five
/// seconds, and once more.
const NAMES_GAP_MAX: Duration = Duration::from_secs(20);

/// One after the other on the first worker, and nobody notices.
pub(super) async fn each(ground: &Ground<'_>) -> Findings {
    let workers = ground.stack.workers();
    let worker = workers.keys().next().expect("there is a worker");
    let mut findings = Vec::new();
    for process in PROCESSES {
        let watch = Watch::begin(ground).await;
        let killed = Instant::now();
        ground.stack.kill_process(worker, process).await;
        ground.starts_pods(worker).await;
        let took = killed.elapsed();
        ground.stack.nodes_ready().await;
        watch.undisturbed(&format!("{worker}/{process} died")).await;
        findings.push((format!("{process}: a new pod came and went"), seconds(took)));
    }
    findings
}

/// One of DNS's pods. Those who ask by address must not notice, those who ask by name hardly.
pub(super) async fn dns(ground: &Ground<'_>) -> Findings {
    let pods: Api<Pod> = Api::namespaced(ground.stack.client(), "kube-system");
    let list = ListParams::default().labels("k8s-app=kube-dns");
    let list = pods.list(&list).await.unwrap();
    let victim = list.items.first().expect("DNS runs as pods").clone();
    let name = victim.metadata.name.clone().unwrap();
    let (id, restarts) = container(&victim).expect("its container runs");
    let watch = Watch::begin(ground).await;
    let (killed, stamp) = (Instant::now(), Timestamp::now());
    let kill = [
        "ctr",
        "--namespace=k8s.io",
        "tasks",
        "kill",
        "--signal=SIGKILL",
        &id,
    ];
    let said = ground.stack.on_host(&node(&victim), &kill).await;
    assert!(said.ok, "{}", said.text);
    wait_until("DNS is started again", DONE, async || {
        let pod = pods.get(&name).await.ok()?;
        let (now, count) = container(&pod)?;
        (now != id && count == restarts + 1 && is_ready(&pod)).then_some(())
    })
    .await;
    let back = killed.elapsed();
    watch.caller.goes_on().await;
    for inside in &ground.inside {
        inside.is_answered().await;
    }
    let failures = watch.caller.failures(killed);
    assert!(
        failures.is_empty(),
        "requests by address failed: {failures:?}"
    );
    let inside = ground.inside.iter();
    let failed: usize = inside
        .clone()
        .flat_map(|one| one.failures(stamp).into_values())
        .sum();
    let gap = inside.map(|one| one.gap(stamp)).max().unwrap_or_default();
    assert!(gap < NAMES_GAP_MAX, "no answer by name for {gap:?}");
    vec![
        ("ready again after".to_owned(), seconds(back)),
        (
            "longest gap of a pod that asks by name".to_owned(),
            seconds(gap),
        ),
        (
            "requests by name that failed".to_owned(),
            failed.to_string(),
        ),
    ]
}

/// Id and restarts of a pod's only container.
fn container(pod: &Pod) -> Option<(String, i32)> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = statuses.first()?;
    let id = status.container_id.as_ref()?.split_once("://")?.1;
    Some((id.to_owned(), status.restart_count))
}
