//! Pods that were given to a node that cannot have them.

use k8s_openapi::api::core::v1::{Event, Pod};
use mainstay_tests::wait::wait_until;
use serde_json::{Value, json};

use crate::node::{DONE, Node};

fn spec(more: Value) -> Value {
    let mut spec = json!({"containers": [{"name": "a", "command": ["sleep", "inf"]}]});
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

fn container(more: Value) -> Value {
    let mut spec = spec(json!({}));
    for (name, value) in more.as_object().unwrap() {
        spec["containers"][0][name] = value.clone();
    }
    spec
}

/// Failed, with this reason, and with nothing said of containers that never were.
fn is_rejected(pod: &Pod, reason: &str, message: &str) -> Option<()> {
    let status = pod.status.as_ref()?;
    (status.phase.as_deref() == Some("Failed")).then_some(())?;
    assert_eq!(status.reason.as_deref(), Some(reason));
    let said = status.message.as_deref().unwrap_or_default();
    assert!(
        said.starts_with("Pod was rejected: ") && said.contains(message),
        "{said}"
    );
    assert!(status.container_statuses.is_none(), "{status:?}");
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_refuses_what_does_not_fit_and_stays_with_it() {
    let Some(mut node) = Node::start().await else {
        return;
    };
    let port = json!({"ports": [{"containerPort": 80, "hostPort": 18080}]});
    node.pod("first", container(port.clone())).await;
    node.until_ready("first").await;
    let cases = [
        (
            "large",
            container(json!({"resources": {"requests": {"cpu": "1k"}}})),
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 1000000, used: 0,",
        ),
        (
            "elsewhere",
            spec(json!({"nodeSelector": {"disk": "slow"}})),
            "NodeAffinity",
            "Predicate NodeAffinity failed",
        ),
        (
            "second",
            container(port),
            "NodePorts",
            "Predicate NodePorts failed",
        ),
    ];
    for (name, spec, _, _) in &cases {
        node.pod(name, spec.clone()).await;
    }
    node.pod("fits", spec(json!({"nodeSelector": {"disk": "fast"}})))
        .await;
    let refused = async |node: &Node| {
        for (name, _, reason, message) in &cases {
            node.until(name, reason, |pod| is_rejected(pod, reason, message))
                .await;
        }
    };
    refused(&node).await;
    node.until_ready("fits").await;
    wait_until("an event tells why", DONE, async || {
        let events = node.scene.list::<Event>().await;
        let mut about = events
            .iter()
            .filter(|event| event.involved_object.name.as_deref() == Some("large"));
        about
            .any(|event| event.reason.as_deref() == Some("OutOfcpu"))
            .then_some(())
    })
    .await;
    // A kubelet that starts anew says the same, and what runs goes on.
    node.kill_kubelet();
    node.start_kubelet();
    node.pod("third", spec(json!({}))).await;
    node.until_ready("third").await;
    refused(&node).await;
    node.until_ready("first").await;
}
