//! What controllers make containers for.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{DeleteParams, ListParams};
use mainstay_component_tests::stack::limits::DONE;
use mainstay_component_tests::stack::{BUSYBOX, Stack};
use mainstay_component_tests::{Scene, is_ready};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

/// A template whose only container runs a script, and which ends at once.
fn template(labels: &Value, policy: &str, script: &str) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {
        "restartPolicy": policy, "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "a", "image": BUSYBOX, "command": ["sh", "-c", script]}],
    }})
}

pub(crate) async fn controllers_run_containers(stack: &Stack) {
    let scene = stack.scene("workloads").await;
    a_stateful_set_keeps_names(stack, &scene).await;
    a_daemon_set_is_everywhere(stack, &scene).await;
    let job = json!({
        "metadata": {"name": "count"},
        "spec": {"completions": 3, "parallelism": 2,
            "template": template(&json!({"job": "count"}), "Never", "echo done")},
    });
    let _: Job = scene.create(job).await;
    completes(&scene, "count", 3).await;
}

async fn completes(scene: &Scene, name: &str, wanted: i32) {
    let jobs = scene.api::<Job>();
    wait_until(&format!("the job {name} completes"), DONE, async || {
        let status = jobs.get(name).await.ok()?.status?;
        let mut conditions = status.conditions.into_iter().flatten();
        let complete = conditions.any(|one| one.type_ == "Complete" && one.status == "True");
        (complete && status.succeeded == Some(wanted)).then_some(())
    })
    .await;
}

async fn a_stateful_set_keeps_names(stack: &Stack, scene: &Scene) {
    let labels = json!({"app": "db"});
    let service = json!({
        "metadata": {"name": "db"},
        "spec": {"clusterIP": "None", "selector": labels, "ports": [{"port": 80}]},
    });
    let _: Service = scene.create(service).await;
    let set = json!({
        "metadata": {"name": "db"},
        "spec": {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": labels},
            "template": template(&labels, "Always", "sleep 1000000")},
    });
    let _: StatefulSet = scene.create(set).await;
    let pods = scene.api::<Pod>();
    let ready = async |name: &str, not: Option<String>| {
        wait_until(&format!("{name} is ready"), DONE, async || {
            let pod = pods.get(name).await.ok()?;
            (is_ready(&pod) && pod.metadata.uid != not).then_some(pod)
        })
        .await
    };
    let second = ready("db-1", None).await;
    let first = pods.get("db-0").await.unwrap();
    let begun = |pod: &Pod| pod.status.clone().unwrap().start_time.unwrap().0;
    assert!(begun(&first) <= begun(&second), "db-1 came before db-0");
    for pod in [&first, &second] {
        let address = pod.status.clone().unwrap().pod_ip.unwrap();
        let name = pod.metadata.name.clone().unwrap();
        let full = format!("{name}.db.workloads.svc.cluster.local");
        wait_until(&format!("{full} is {address}"), DONE, async || {
            let said = stack.in_pod(scene, "db-1", &["nslookup", &full]).await;
            said.text.contains(&address).then_some(())
        })
        .await;
    }
    let old = first.metadata.uid.clone();
    pods.delete("db-0", &DeleteParams::default()).await.unwrap();
    ready("db-0", old).await;
}

async fn a_daemon_set_is_everywhere(stack: &Stack, scene: &Scene) {
    let labels = json!({"app": "everywhere"});
    let set = json!({
        "metadata": {"name": "everywhere"},
        "spec": {"selector": {"matchLabels": labels},
            "template": template(&labels, "Always", "sleep 1000000")},
    });
    let _: DaemonSet = scene.create(set).await;
    let workers: BTreeSet<String> = stack.workers().into_keys().collect();
    let pods = scene.api::<Pod>();
    let list = ListParams::default().labels("app=everywhere");
    wait_until("a daemon runs on every node", DONE, async || {
        let pods = pods.list(&list).await.ok()?.items;
        let nodes = pods.iter().filter(|pod| is_ready(pod));
        let nodes = nodes.map(|pod| pod.spec.clone()?.node_name);
        let nodes: BTreeSet<String> = nodes.collect::<Option<_>>()?;
        (nodes == workers && pods.len() == workers.len()).then_some(())
    })
    .await;
}

/// A minute begins within a minute: this takes so long, beside the others.
pub(crate) async fn schedules_fire(stack: &Stack) {
    let scene = stack.scene("schedules").await;
    let job =
        json!({"spec": {"template": template(&json!({"cron": "tick"}), "OnFailure", "echo tick")}});
    let cron = json!({
        "metadata": {"name": "tick"},
        "spec": {"schedule": "* * * * *", "jobTemplate": job},
    });
    let _: CronJob = scene.create(cron).await;
    let once = [
        "--namespace=schedules",
        "create",
        "job",
        "once",
        "--from=cronjob/tick",
    ];
    stack.kubectl(&once).await;
    completes(&scene, "once", 1).await;
    // Its own jobs have names of their own.
    let jobs = scene.api::<Job>();
    let of_minute = async || {
        let jobs = jobs.list(&ListParams::default()).await.ok()?.items;
        let mut jobs = jobs.into_iter().filter(|job| {
            let name = job.metadata.name.as_deref().unwrap_or_default();
            name.starts_with("tick-")
        });
        let done = jobs.any(|job| job.status.is_some_and(|status| status.succeeded == Some(1)));
        done.then_some(())
    };
    wait_until("a minute begins, and its job is done", DONE, of_minute).await;
    let status = scene.api::<CronJob>().get("tick").await.unwrap().status;
    assert!(status.unwrap().last_schedule_time.is_some());
}
