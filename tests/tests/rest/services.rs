//! What services take from the cluster: addresses and ports of nodes.

use serde_json::{Value, json};

use super::start;
use mainstay_tests::rest::Rest;

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, node_port: Option<u16>) -> Value {
    let mut port = json!({ "port": 80 });
    let mut kind = "ClusterIP";
    if let Some(node_port) = node_port {
        port["nodePort"] = json!(node_port);
        kind = "NodePort";
    }
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "type": kind, "ports": [port], "selector": { "app": name } },
    })
}

/// Whether a node port is free: taken for a moment.
async fn is_free(rest: &Rest, port: u16) -> bool {
    let (code, answer) = rest
        .json(&format!("POST {SERVICES}"), &service("probe", Some(port)))
        .await;
    if code == 201 {
        let (code, _) = rest
            .json(&format!("DELETE {SERVICES}/probe"), &Value::Null)
            .await;
        assert_eq!(code, 200);
        return true;
    }
    let message = answer["message"].as_str().unwrap();
    assert!(
        message.contains("provided port is already allocated"),
        "{answer}"
    );
    false
}

/// An update used to keep what it took for a service before it was known whether the service would be written.
#[tokio::test]
async fn a_refused_update_of_a_service_takes_nothing() {
    let (_cluster, _server, rest) = start().await;
    let (code, created) = rest
        .json(&format!("POST {SERVICES}"), &service("a", None))
        .await;
    assert_eq!(code, 201, "{created}");
    let path = format!("{SERVICES}/a");

    // Invalid beside the new port.
    let mut wrong = created.clone();
    wrong["spec"]["type"] = json!("NodePort");
    wrong["spec"]["ports"][0]["nodePort"] = json!(30_500);
    wrong["spec"]["sessionAffinity"] = json!("Sometimes");
    let (code, answer) = rest.json(&format!("PUT {path}"), &wrong).await;
    assert_eq!(code, 422, "{answer}");
    assert!(is_free(&rest, 30_500).await);

    // One port is free, the other is out of range.
    wrong["spec"]["sessionAffinity"] = json!("None");
    wrong["spec"]["ports"] = json!([
        { "name": "a", "port": 80, "nodePort": 30_500 },
        { "name": "b", "port": 81, "nodePort": 29_999 },
    ]);
    let (code, answer) = rest.json(&format!("PUT {path}"), &wrong).await;
    assert_eq!(code, 422, "{answer}");
    assert!(is_free(&rest, 30_500).await);

    // Somebody else was faster.
    let label = json!({ "metadata": { "labels": { "x": "y" } } });
    let (code, _) = rest.json(&format!("PATCH {path}"), &label).await;
    assert_eq!(code, 200);
    let mut late = created.clone();
    late["spec"]["type"] = json!("NodePort");
    late["spec"]["ports"][0]["nodePort"] = json!(30_501);
    let (code, answer) = rest.json(&format!("PUT {path}"), &late).await;
    assert_eq!(code, 409, "{answer}");
    assert!(is_free(&rest, 30_501).await);

    // A create that is refused takes nothing either.
    let mut twice = service("a", Some(30_502));
    let (code, answer) = rest.json(&format!("POST {SERVICES}"), &twice).await;
    assert_eq!(code, 409, "{answer}");
    twice["metadata"] = json!({ "name": "b", "labels": { "not/a/label": "x" } });
    let (code, answer) = rest.json(&format!("POST {SERVICES}"), &twice).await;
    assert_eq!(code, 422, "{answer}");
    assert!(is_free(&rest, 30_502).await);
}

/// What was taken for an attempt that others got in the way of is there for the next attempt.
#[tokio::test]
async fn an_update_that_is_tried_again_gets_its_port() {
    let (_cluster, _server, rest) = start().await;
    let (code, _) = rest
        .json(&format!("POST {SERVICES}"), &service("a", None))
        .await;
    assert_eq!(code, 201);
    let path = format!("PATCH {SERVICES}/a");
    for round in 0..5_u16 {
        let port = 30_510 + round;
        let spec =
            json!({ "spec": { "type": "NodePort", "ports": [{ "port": 80, "nodePort": port }] } });
        let label =
            |n: u16| json!({ "metadata": { "labels": { format!("n{n}"): round.to_string() } } });
        let (first, second, third) = (label(1), label(2), label(3));
        let ((_, _), (code, answer), (_, _), (_, _)) = tokio::join!(
            rest.json(&path, &first),
            rest.json(&path, &spec),
            rest.json(&path, &second),
            rest.json(&path, &third),
        );
        assert_eq!(code, 200, "{answer}");
        assert!(!is_free(&rest, port).await);
    }
    let (code, _) = rest
        .json(&format!("DELETE {SERVICES}/a"), &Value::Null)
        .await;
    assert_eq!(code, 200);
}
