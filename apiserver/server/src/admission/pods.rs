//! RuntimeClass and TaintNodesByCondition.

use mainstay_machinery::status::{GroupResource, StatusError};
use serde_json::{Value, json};

use super::{Attempt, Lookup};

/// Copies what the pod's runtime class says about overhead and nodes.
pub(super) async fn runtime_class(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    pod: &mut Value,
) -> Result<(), StatusError> {
    let forbidden = |why: &str| {
        let pods = GroupResource::new("", "pods");
        Err(StatusError::forbidden(pods, &attempt.name, why))
    };
    let Some(name) = pod["spec"]["runtimeClassName"].as_str().map(str::to_owned) else {
        return match pod["spec"]["overhead"].is_null() {
            true => Ok(()),
            false => forbidden(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            ),
        };
    };
    let Some(class) = lookup
        .get("node.k8s.io", "runtimeclasses", "", &name)
        .await?
    else {
        return forbidden(&format!("pod rejected: RuntimeClass \"{name}\" not found"));
    };
    let overhead = &class["overhead"]["podFixed"];
    let own = &pod["spec"]["overhead"];
    if !own.is_null() && own != overhead {
        return forbidden(
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        );
    }
    if !overhead.is_null() {
        pod["spec"]["overhead"] = overhead.clone();
    }
    let selector = class["scheduling"]["nodeSelector"].as_object();
    for (key, value) in selector.into_iter().flatten() {
        let own = &mut pod["spec"]["nodeSelector"][key];
        if !own.is_null() && own != value {
            return forbidden(&format!(
                "pod rejected: conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}",
            ));
        }
        *own = value.clone();
    }
    let tolerations = class["scheduling"]["tolerations"].as_array();
    for toleration in tolerations.into_iter().flatten() {
        let own = &mut pod["spec"]["tolerations"];
        match own.as_array_mut() {
            None => *own = json!([toleration]),
            Some(list) if !list.contains(toleration) => list.push(toleration.clone()),
            Some(_) => {}
        }
    }
    Ok(())
}

/// A new node takes no pods until somebody has seen that it is ready.
pub(super) fn taint_new_node(node: &mut Value) {
    let key = "node.kubernetes.io/not-ready";
    let taint = json!({ "key": key, "effect": "NoSchedule" });
    let taints = &mut node["spec"]["taints"];
    match taints.as_array_mut() {
        None => *taints = json!([taint]),
        Some(list) => {
            let same = |own: &Value| own["key"] == key && own["effect"] == "NoSchedule";
            if !list.iter().any(same) {
                list.push(taint);
            }
        }
    }
}
