//! What a running container sees and suffers.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use mainstay_component_tests::Scene;
use mainstay_component_tests::is_ready;
use mainstay_component_tests::stack::limits::DONE;
use mainstay_component_tests::stack::{BUSYBOX, Stack};
use mainstay_tests::wait_until;
use serde_json::json;

pub(crate) async fn containers_live_as_they_are_told(stack: &Stack) {
    let scene = stack.scene("lives").await;
    tokio::join!(
        a_change_of_a_config_map_reaches_a_running_pod(stack, &scene),
        a_container_that_hangs_is_started_again(stack, &scene),
    );
}

async fn ready(scene: &Scene, name: &str) -> Pod {
    let pods = scene.api::<Pod>();
    wait_until(&format!("{name} is ready"), DONE, async || {
        let pod = pods.get(name).await.ok()?;
        is_ready(&pod).then_some(pod)
    })
    .await
}

async fn a_change_of_a_config_map_reaches_a_running_pod(stack: &Stack, scene: &Scene) {
    let map = json!({"metadata": {"name": "greeting"}, "data": {"text": "first"}});
    let _: ConfigMap = scene.create(map).await;
    let _: Pod = scene
        .create(json!({
            "metadata": {"name": "reader"},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "volumes": [{"name": "v", "configMap": {"name": "greeting"}}],
                "containers": [{"name": "a", "image": BUSYBOX, "command": ["sleep", "1000000"],
                    "volumeMounts": [{"name": "v", "mountPath": "/etc/greeting"}]}],
            },
        }))
        .await;
    ready(scene, "reader").await;
    let reads = async |text: &str| {
        wait_until(&format!("the pod reads {text}"), DONE, async || {
            let words = ["cat", "/etc/greeting/text"];
            let said = stack.in_pod(scene, "reader", &words).await;
            (said.text.trim() == text).then_some(())
        })
        .await;
    };
    reads("first").await;
    let patch = ["--namespace=lives", "patch", "configmap", "greeting"];
    let patch: Vec<&str> = patch
        .into_iter()
        .chain(["--patch", r#"{"data":{"text":"second"}}"#])
        .collect();
    stack.kubectl(&patch).await;
    reads("second").await;
}

async fn a_container_that_hangs_is_started_again(stack: &Stack, scene: &Scene) {
    let script = "mkdir -p /www && touch /www/index.html && httpd -p 8080 -h /www && sleep 1000000";
    let _: Pod = scene
        .create(json!({
            "metadata": {"name": "hangs"},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
                "name": "a", "image": BUSYBOX, "command": ["sh", "-c", script],
                "livenessProbe": {"httpGet": {"path": "/", "port": 8080},
                    "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 3,
                    "initialDelaySeconds": 2},
                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
            }]},
        }))
        .await;
    ready(scene, "hangs").await;
    // It takes connections, as the kernel does that for it, and answers none.
    let said = stack
        .in_pod(scene, "hangs", &["killall", "-STOP", "httpd"])
        .await;
    assert!(said.ok, "{}", said.text);
    let pods = scene.api::<Pod>();
    wait_until(
        "a container that hangs is started again",
        DONE,
        async || {
            let pod = pods.get("hangs").await.ok()?;
            let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
            (is_ready(&pod) && statuses.first()?.restart_count >= 1).then_some(())
        },
    )
    .await;
    let told = [
        "--namespace=lives",
        "get",
        "events",
        "--field-selector=reason=Unhealthy",
    ];
    wait_until("an event tells why", DONE, async || {
        let said = stack.kubectl_tries(&told).await.text;
        said.contains("Liveness probe failed").then_some(())
    })
    .await;
}
