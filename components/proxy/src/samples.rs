//! Services for tests, by what is said of them.

use mainstay_client::Key;
use serde_json::{Value, json};

use crate::model::{Plan, State};

/// Service `a/web` at 10.96.0.1:80 with what `spec` says, and endpoints at port 8080; those with `here` behind their
/// address are on this node.
pub(crate) fn plans(spec: &Value, ends: &[&str]) -> (Key, Vec<Plan>) {
    let mut state = State::new("n1");
    let mut object = json!({
        "metadata": {"namespace": "a", "name": "web"},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
        "status": {"loadBalancer": {"ingress": spec.get("ingress")}},
    });
    for (name, value) in spec.as_object().expect("a specification") {
        object["spec"][name] = value.clone();
    }
    state.put_service(&serde_json::from_value(object).expect("a service"));
    let ends = ends.iter().map(|end| {
        let (ip, node) = end.split_once(' ').unwrap_or((end, ""));
        json!({"addresses": [ip], "nodeName": if node == "here" { "n1" } else { "n2" }})
    });
    let slice = json!({
        "metadata": {"namespace": "a", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": ends.collect::<Vec<_>>(),
    });
    state.put_slice(&serde_json::from_value(slice).expect("a slice"));
    state.take().services.remove(0)
}
