//! Lives of pods. All on one node, since a node takes long to be made.

use std::fs;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node as NodeObject, Pod};
use kube::Api;
use kube::api::DeleteParams;
use mainstay_tests::wait::wait_until;
use serde_json::json;

use crate::machine::IMAGE;
use crate::node::{DONE, Node, condition, container, waits};

#[tokio::test(flavor = "multi_thread")]
async fn pods_live_and_end_as_they_are_told() {
    let Some(node) = Node::start().await else {
        return;
    };
    the_node_says_what_it_is(&node).await;
    tokio::join!(
        a_pod_runs_and_ends_with_grace(&node),
        a_pod_that_is_done_has_succeeded(&node),
        a_container_that_fails_waits_longer_each_time(&node),
        init_containers_come_one_after_the_other(&node),
        probes_count(&node),
        a_condemned_container_that_ends_well_is_started_again(&node),
        what_cannot_start_says_why(&node),
        a_deadline_ends_a_pod(&node),
        a_static_pod_has_a_mirror(&node),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_kubelet_and_containerd() {
    let Some(mut node) = Node::start().await else {
        return;
    };
    let spec = json!({"containers": [{"name": "a", "command": ["sleep", "inf"],
        "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1}}]});
    node.pod("stays", spec.clone()).await;
    node.pod("goes", spec).await;
    let before = node.until_ready("stays").await;
    node.until_ready("goes").await;
    node.kill_kubelet();
    // What happens meanwhile is seen afterwards.
    let pods = node.scene.api::<Pod>();
    pods.delete("goes", &DeleteParams::default()).await.unwrap();
    let tasks = node.machine.tasks();
    node.machine.kill_containerd();
    node.machine.start_containerd().await;
    node.start_kubelet();
    node.until_gone("goes").await;
    let nodes: Api<NodeObject> = Api::all(node.world.client.clone());
    let ready = async || {
        let object = nodes.get("n1").await.ok()?;
        let conditions = object.status?.conditions?;
        let ready = conditions.iter().find(|one| one.type_ == "Ready")?;
        (ready.status == "True").then_some(())
    };
    wait_until("the node is ready again", DONE, ready).await;
    let after = node.until_ready("stays").await;
    let id = |pod: &Pod| container(pod, "a").unwrap().container_id.clone();
    assert_eq!(id(&after), id(&before));
    assert_eq!(container(&after, "a").unwrap().restart_count, 0);
    let transition = |pod: &Pod| {
        let conditions = pod.status.as_ref().unwrap().conditions.as_ref().unwrap();
        let ready = conditions.iter().find(|one| one.type_ == "Ready").unwrap();
        ready.last_transition_time.clone()
    };
    assert_eq!(
        transition(&after),
        transition(&before),
        "it was ready all the time"
    );
    let left = node.machine.tasks();
    let kept: Vec<_> = tasks.iter().filter(|task| left.contains(task)).collect();
    assert_eq!(kept.len(), 2, "of {tasks:?} are left {left:?}");
}

async fn the_node_says_what_it_is(node: &Node) {
    let nodes: Api<NodeObject> = Api::all(node.world.client.clone());
    let object = nodes.get("n1").await.unwrap();
    let labels = object.metadata.labels.unwrap();
    assert_eq!(labels["disk"], "fast");
    assert_eq!(labels["kubernetes.io/hostname"], "n1");
    let status = object.status.unwrap();
    let info = status.node_info.unwrap();
    assert!(info.container_runtime_version.starts_with("containerd://"));
    assert!(status.capacity.unwrap().contains_key("memory"));
    let images = status.images.unwrap();
    let named = |name: &str| {
        let mut names = images.iter().flat_map(|image| image.names.iter().flatten());
        names.any(|one| one == name)
    };
    assert!(named(IMAGE), "{images:?}");
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> =
        Api::namespaced(node.world.client.clone(), "kube-node-lease");
    let renewed = async || {
        let lease = leases.get_opt("n1").await.ok()??;
        (lease.spec?.holder_identity.as_deref() == Some("n1")).then_some(())
    };
    wait_until("the lease is renewed", DONE, renewed).await;
}

async fn a_pod_runs_and_ends_with_grace(node: &Node) {
    let script = "trap 'sleep 1; exit 0' TERM; while true; do sleep 0.1; done";
    let spec = json!({"terminationGracePeriodSeconds": 20, "containers": [{"name": "a",
        "command": ["sh", "-c", script],
        "lifecycle": {"preStop": {"exec": {"command": ["touch", "/tmp/asked"]}}}}]});
    node.pod("graceful", spec).await;
    let pod = node.until_ready("graceful").await;
    let status = pod.status.as_ref().unwrap();
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert!(status.pod_ip.as_deref().unwrap().starts_with("10.88.0."));
    assert_eq!(status.host_ip.as_deref(), Some("10.88.0.1"));
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    for name in [
        "PodScheduled",
        "Initialized",
        "ContainersReady",
        "PodReadyToStartContainers",
    ] {
        assert!(condition(&pod, name), "{name}");
    }
    assert_eq!(container(&pod, "a").unwrap().image, IMAGE);
    let begun = Instant::now();
    let pods = node.scene.api::<Pod>();
    pods.delete("graceful", &DeleteParams::default())
        .await
        .unwrap();
    node.until_gone("graceful").await;
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(1),
        "it had no time to end: {took:?}"
    );
    assert!(
        took < Duration::from_secs(20),
        "it was not told to end: {took:?}"
    );
}

async fn a_pod_that_is_done_has_succeeded(node: &Node) {
    let spec = json!({"restartPolicy": "Never", "containers": [
        {"name": "a", "command": ["sh", "-c", "echo -n good > /dev/termination-log"]},
        {"name": "b", "command": ["true"]},
    ]});
    node.pod("done", spec).await;
    let pod = node.until_phase("done", "Succeeded").await;
    let ended = container(&pod, "a")
        .unwrap()
        .state
        .as_ref()
        .unwrap()
        .terminated
        .clone()
        .unwrap();
    assert_eq!(ended.reason.as_deref(), Some("Completed"));
    assert_eq!(ended.message.as_deref(), Some("good"));
    assert!(!condition(&pod, "Ready"));
    let spec = json!({"restartPolicy": "Never", "containers": [
        {"name": "a", "command": ["sh", "-c", "exit 3"]},
    ]});
    node.pod("failed", spec).await;
    let pod = node.until_phase("failed", "Failed").await;
    let ended = container(&pod, "a")
        .unwrap()
        .state
        .as_ref()
        .unwrap()
        .terminated
        .clone()
        .unwrap();
    assert_eq!(
        (ended.exit_code, ended.reason.as_deref()),
        (3, Some("Error"))
    );
    for name in ["done", "failed"] {
        let pods = node.scene.api::<Pod>();
        pods.delete(name, &DeleteParams::default()).await.unwrap();
        node.until_gone(name).await;
    }
}

async fn a_container_that_fails_waits_longer_each_time(node: &Node) {
    let spec = json!({"containers": [{"name": "a", "command": ["sh", "-c", "exit 1"]}]});
    node.pod("crashes", spec).await;
    node.until("crashes", "waits", |pod| {
        let last = container(pod, "a")?
            .last_state
            .as_ref()?
            .terminated
            .as_ref()?;
        (waits(pod, "a") == Some("CrashLoopBackOff") && last.exit_code == 1).then_some(())
    })
    .await;
    let restarted = |pod: &Pod| (container(pod, "a")?.restart_count >= 2).then_some(());
    node.until("crashes", "restarts", restarted).await;
}

async fn init_containers_come_one_after_the_other(node: &Node) {
    let shared = json!([{"name": "shared", "mountPath": "/shared"}]);
    let step = |name: &str, script: &str| json!({"name": name, "command": ["sh", "-c", script], "volumeMounts": shared});
    let mut sidecar = step(
        "side",
        "test -e /shared/one && touch /shared/side; sleep inf",
    );
    sidecar["restartPolicy"] = json!("Always");
    sidecar["startupProbe"] =
        json!({"exec": {"command": ["test", "-e", "/shared/side"]}, "periodSeconds": 1});
    let spec = json!({
        "volumes": [{"name": "shared", "emptyDir": {}}],
        "initContainers": [
            step("one", "touch /shared/one"),
            sidecar,
            step("two", "test -e /shared/side && touch /shared/two"),
        ],
        "containers": [step("main", "test -e /shared/two && sleep inf")],
    });
    node.pod("initialized", spec).await;
    let pod = node.until_ready("initialized").await;
    let done = |name: &str| {
        let state = container(&pod, name).unwrap().state.clone().unwrap();
        state.terminated.is_some_and(|ended| ended.exit_code == 0)
    };
    assert!(done("one") && done("two"));
    assert!(container(&pod, "side").unwrap().ready);
    assert_eq!(container(&pod, "main").unwrap().restart_count, 0);
}

async fn probes_count(node: &Node) {
    // It answers until it is hung, after which it is restarted.
    let script = "mkdir -p /www; echo fine > /www/health; httpd -p 80 -h /www; sleep 4; rm /www/health; sleep inf";
    let spec = json!({"containers": [{"name": "a", "command": ["sh", "-c", script],
        "ports": [{"name": "http", "containerPort": 80}],
        "livenessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1, "failureThreshold": 2},
        "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1}}]});
    node.pod("hangs", spec).await;
    node.until_ready("hangs").await;
    let restarted = |pod: &Pod| (container(pod, "a")?.restart_count >= 1).then_some(());
    node.until("hangs", "restarts", restarted).await;
    let spec = json!({"containers": [{"name": "a", "command": ["sleep", "inf"],
        "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}}]});
    node.pod("unready", spec).await;
    let pod = node.until_phase("unready", "Running").await;
    assert!(!condition(&pod, "Ready") && !container(&pod, "a").unwrap().ready);
}

/// The pause before its second start had made a success of the pod.
async fn a_condemned_container_that_ends_well_is_started_again(node: &Node) {
    let script = "trap 'exit 0' TERM; while true; do sleep 0.1; done";
    let spec = json!({"restartPolicy": "OnFailure", "containers": [{"name": "a",
        "command": ["sh", "-c", script],
        "livenessProbe": {"exec": {"command": ["test", "-e", "/none"]}, "periodSeconds": 1, "failureThreshold": 1}}]});
    node.pod("condemned", spec).await;
    let restarted = |pod: &Pod| {
        let phase = pod.status.as_ref()?.phase.as_deref();
        assert_ne!(phase, Some("Succeeded"));
        (container(pod, "a")?.restart_count >= 2).then_some(())
    };
    node.until("condemned", "restarts", restarted).await;
}

async fn what_cannot_start_says_why(node: &Node) {
    let missing =
        json!([{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k"}}}]);
    let cases = [
        (
            "unpulled",
            json!({"name": "a", "image": "127.0.0.1:1/none:1", "imagePullPolicy": "Never"}),
            "ErrImageNeverPull",
        ),
        (
            "unpullable",
            json!({"name": "a", "image": "127.0.0.1:1/none:1"}),
            "ImagePullBackOff",
        ),
        (
            "unmapped",
            json!({"name": "a", "command": ["true"], "env": missing}),
            "CreateContainerConfigError",
        ),
        (
            "unknown",
            json!({"name": "a", "command": ["/none"]}),
            "CrashLoopBackOff",
        ),
    ];
    for (name, container, _) in &cases {
        node.pod(name, json!({"containers": [container]})).await;
    }
    for (name, _, reason) in &cases[..3] {
        node.until(name, reason, |pod| {
            (waits(pod, "a") == Some(*reason)).then_some(())
        })
        .await;
    }
    let started = |pod: &Pod| {
        let reason = waits(pod, "a")?;
        ["RunContainerError", "CrashLoopBackOff"]
            .contains(&reason)
            .then_some(())
    };
    node.until("unknown", "does not start", started).await;
}

async fn a_deadline_ends_a_pod(node: &Node) {
    let spec = json!({"activeDeadlineSeconds": 2, "containers": [{"name": "a", "command": ["sleep", "inf"]}]});
    node.pod("late", spec).await;
    let pod = node.until_phase("late", "Failed").await;
    assert_eq!(
        pod.status.unwrap().reason.as_deref(),
        Some("DeadlineExceeded")
    );
}

async fn a_static_pod_has_a_mirror(node: &Node) {
    let manifest = |text: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "static", "namespace": node.scene.namespace.as_ref()},
            "spec": {"automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "a", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", "sleep inf", text]}]}})
        .to_string()
    };
    let file = node.manifests().join("static.json");
    fs::write(&file, manifest("first")).unwrap();
    let first = node.until_ready("static-n1").await;
    let pods = node.scene.api::<Pod>();
    // A mirror that somebody deletes comes again; the pod stays.
    let now = DeleteParams::default().grace_period(0);
    pods.delete("static-n1", &now).await.unwrap();
    let again = |pod: &Pod| {
        let ready = condition(pod, "Ready") && pod.metadata.uid != first.metadata.uid;
        ready.then(|| pod.clone())
    };
    let second = node.until("static-n1", "comes again", again).await;
    let id = |pod: &Pod| container(pod, "a").unwrap().container_id.clone();
    assert_eq!(id(&second), id(&first));
    fs::write(&file, manifest("another")).unwrap();
    let changed = |pod: &Pod| (condition(pod, "Ready") && id(pod) != id(&first)).then_some(());
    node.until("static-n1", "is another one", changed).await;
    fs::remove_file(&file).unwrap();
    node.until_gone("static-n1").await;
}
