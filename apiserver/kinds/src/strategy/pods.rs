//! Pods: initial status, and what each of their subresources may change.

use super::labels::{condition, each_affinity_term, merge_label_keys};
use super::prepare::keep_user_metadata;
use super::{Context, Part};
use crate::resources::qos_class;
use crate::value::{at, at_mut, carry, has, int, is_empty, list, set, take, text};
use serde_json::{Value, json};

pub(super) fn create(pod: &mut Value, context: &Context<'_>) {
    let class = at(pod, "spec").map_or("BestEffort", qos_class);
    set(
        pod,
        "status",
        json!({"phase": "Pending", "qosClass": class}),
    );
    gate_scheduling(pod, context.now);
    merge_matching_labels(pod);
}

/// A pod with scheduling gates says from the start why it waits.
fn gate_scheduling(pod: &mut Value, now: &str) {
    if !list(pod, "spec.schedulingGates").is_empty() {
        let waiting = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "lastProbeTime": null, "lastTransitionTime": now,
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
        set(pod, "status.conditions", waiting);
    }
}

fn merge_matching_labels(pod: &mut Value) {
    let labels = at(pod, "metadata.labels")
        .cloned()
        .unwrap_or_else(|| json!({}));
    if let Some(affinity) = at_mut(pod, "spec.affinity") {
        each_affinity_term(affinity, &mut |term| {
            merge_label_keys(term, "matchLabelKeys", "In", &labels);
            merge_label_keys(term, "mismatchLabelKeys", "NotIn", &labels);
        });
    }
    if let Some(Value::Array(constraints)) = at_mut(pod, "spec.topologySpreadConstraints") {
        for constraint in constraints {
            merge_label_keys(constraint, "matchLabelKeys", "In", &labels);
        }
    }
}

pub(super) fn update(new: &mut Value, old: &Value, part: Part, _: &Context<'_>) {
    match part {
        Part::Status => update_status(new, old),
        Part::EphemeralContainers => {
            let containers = at(new, "spec.ephemeralContainers").cloned();
            keep_all(new, old);
            match containers {
                Some(containers) => set(new, "spec.ephemeralContainers", containers),
                None => {
                    take(new, "spec.ephemeralContainers");
                }
            }
        }
        Part::Resize => resize(new, old),
        Part::Main | Part::Finalize | Part::Approval => {}
    }
}

fn keep_all(new: &mut Value, old: &Value) {
    carry(new, old, "spec");
    carry(new, old, "status");
    keep_user_metadata(new, old);
}

/// Resources and resize policies of containers, and resources of the pod, may change. If containers
/// were added, removed or renamed everything is left for validation to refuse.
fn resize(new: &mut Value, old: &Value) {
    let names = |pod: &Value, kind: &str| -> Vec<String> {
        list(pod, kind)
            .iter()
            .map(|container| text(container, "name").to_owned())
            .collect()
    };
    let kinds = ["spec.containers", "spec.initContainers"];
    if kinds
        .iter()
        .any(|kind| names(new, kind) != names(old, kind))
    {
        return;
    }
    let asked = new.clone();
    keep_all(new, old);
    carry(new, &asked, "spec.resources");
    for kind in kinds {
        let Some(Value::Array(containers)) = at_mut(new, kind) else {
            continue;
        };
        for (container, wanted) in containers.iter_mut().zip(list(&asked, kind)) {
            carry(container, wanted, "resources");
            carry(container, wanted, "resizePolicy");
        }
    }
}

fn update_status(new: &mut Value, old: &Value) {
    carry(new, old, "metadata.deletionTimestamp");
    // Kubelets of old wrote owner references back without fields they did not know.
    carry(new, old, "metadata.ownerReferences");
    if text(new, "status.qosClass").is_empty() {
        carry(new, old, "status.qosClass");
    }
    if int(new, "status.observedGeneration") == 0 {
        carry(new, old, "status.observedGeneration");
    }
    keep_observed_generations(new, old);
    pair_addresses(new, "podIP", "podIPs");
    pair_addresses(new, "hostIP", "hostIPs");
}

fn keep_observed_generations(new: &mut Value, old: &Value) {
    let Some(Value::Array(conditions)) = at_mut(new, "status.conditions") else {
        return;
    };
    for written in conditions {
        let known = condition(list(old, "status.conditions"), text(written, "type"));
        if let Some(known) = known
            && is_empty(at(written, "observedGeneration"))
        {
            carry(written, known, "observedGeneration");
        }
    }
}

/// One address is the first of all addresses; a client that knows only one field sets both.
fn pair_addresses(pod: &mut Value, one: &str, all: &str) {
    let (one, all) = (format!("status.{one}"), format!("status.{all}"));
    let address = text(pod, &one).to_owned();
    let first = list(pod, &all)
        .first()
        .map(|first| text(first, "ip").to_owned());
    match first {
        Some(first) if address.is_empty() => set(pod, &one, first),
        Some(first) if first == address => {}
        _ if address.is_empty() => {}
        _ => set(pod, &all, json!([{"ip": address}])),
    }
    if has(pod, &all) && list(pod, &all).is_empty() {
        take(pod, &all);
    }
}
