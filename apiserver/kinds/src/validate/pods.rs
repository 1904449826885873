//! Pods: what may be created, and what may change of them through each subresource.

use super::containers::trimmed_image;
use super::differences::differences;
use super::place::Place;
use super::pod_spec::{pod_annotations, pod_spec};
use super::scheduling;
use crate::strategy::Part;
use crate::value::{at, carry, entry_text, has, int, list, same, set, take, text};
use mainstay_machinery::field::{Error, ErrorList};
use mainstay_machinery::validate::{FIELD_IMMUTABLE, name_is_dns_subdomain, range_error};
use serde_json::Value;

const INT32_MAX: i64 = i32::MAX as i64;
const MIRROR: &str = "kubernetes.io/config.mirror";
/// What of a pod's spec may change, in words clients know.
const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn create(pod: &Value, errors: &mut ErrorList) {
    metadata_and_spec(pod, errors);
    let ephemeral = Place::top(pod, "spec").at("ephemeralContainers");
    if !ephemeral.is_empty() {
        ephemeral.forbidden("cannot be set on create", errors);
    }
    let gates = Place::top(pod, "spec").at("schedulingGates");
    let node = Place::top(pod, "spec").at("nodeName");
    if !node.is_empty() && !gates.is_empty() {
        node.forbidden(
            "cannot be set until all schedulingGates have been cleared",
            errors,
        );
    }
}

fn metadata_and_spec(pod: &Value, errors: &mut ErrorList) {
    let annotations = Place::top(pod, "metadata").at("annotations");
    if annotations.value.get(MIRROR).is_some() && text(pod, "spec.nodeName").is_empty() {
        let value = annotations.value[MIRROR].clone();
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(Error::invalid(&annotations.path.key(MIRROR), value, detail));
    }
    pod_annotations(&annotations, errors);
    let spec = Place::top(pod, "spec");
    pod_spec(&spec, text(pod, "metadata.name"), true, errors);
    if spec.at("serviceAccountName").is_empty() {
        for source in spec
            .at("volumes")
            .items()
            .flat_map(|v| v.at("projected.sources").items())
        {
            if source.at("serviceAccountToken").is_set() {
                let detail = "must not be specified when serviceAccountName is not set";
                source.at("serviceAccountToken").forbidden(detail, errors);
            }
        }
    }
    for kind in ["containers", "initContainers"] {
        for container in spec.at(kind).items() {
            trimmed_image(&container, errors);
        }
    }
}

pub(super) fn update(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    annotation_updates(new, old, errors);
    match part {
        Part::Status => status(new, old, errors),
        Part::EphemeralContainers => {
            metadata_and_spec(new, errors);
            ephemeral_containers(new, old, errors);
        }
        Part::Resize => resize(new, old, errors),
        Part::Main | Part::Finalize | Part::Approval => {
            metadata_and_spec(new, errors);
            spec_update(new, old, errors);
        }
    }
}

fn annotation_updates(new: &Value, old: &Value, errors: &mut ErrorList) {
    let of = |pod| entry_text(pod, "metadata.annotations", MIRROR);
    let had = at(old, "metadata.annotations").is_some_and(|all| all.get(MIRROR).is_some());
    if of(new) != of(old) {
        let verb = if had { "remove or update" } else { "add" };
        let path = Place::top(new, "metadata")
            .at("annotations")
            .path
            .key(MIRROR);
        errors.push(Error::forbidden(
            &path,
            format!("may not {verb} mirror pod annotation"),
        ));
    }
}

fn spec_update(new: &Value, old: &Value, errors: &mut ErrorList) {
    let (spec, before) = (Place::top(new, "spec"), Place::top(old, "spec"));
    for kind in ["containers", "initContainers"] {
        if spec.at(kind).len() != before.at(kind).len() {
            spec.at(kind)
                .forbidden("pod updates may not add or remove containers", errors);
            return;
        }
    }
    if !deadline(
        &spec.at("activeDeadlineSeconds"),
        &before.at("activeDeadlineSeconds"),
        errors,
    ) {
        return;
    }
    added_tolerations(&spec.at("tolerations"), &before.at("tolerations"), errors);
    let old_gates = before.at("schedulingGates");
    for gate in spec.at("schedulingGates").items() {
        let name = gate.at("name");
        if !old_gates
            .items()
            .any(|known| known.at("name").text() == name.text())
        {
            let name_text = name.text();
            let detail =
                format!("only deletion is allowed, but found new scheduling gate '{name_text}'");
            name.forbidden(detail, errors);
        }
    }
    let munged = without_allowed_changes(new, old, errors);
    let after = at(&munged, "spec");
    if !same(after, at(old, "spec")) {
        let changed = differences(before.value, after.unwrap_or(&Value::Null), "spec");
        let detail = format!("pod updates may not change fields other than {UPDATABLE}\n{changed}");
        spec.forbidden(detail, errors);
    }
}

/// It may be set and lowered, never raised or taken back. Says whether to go on.
fn deadline(new: &Place<'_>, old: &Place<'_>, errors: &mut ErrorList) -> bool {
    match (new.number(), old.number()) {
        (Some(seconds), _) if !(0..=INT32_MAX).contains(&seconds) => {
            new.invalid(range_error(0, INT32_MAX), errors);
            false
        }
        (Some(seconds), Some(before)) if before < seconds => {
            new.invalid("must be less than or equal to previous value", errors);
            false
        }
        (None, Some(_)) => {
            new.invalid(
                "must not update from a positive integer to nil value",
                errors,
            );
            true
        }
        _ => true,
    }
}

fn added_tolerations(new: &Place<'_>, old: &Place<'_>, errors: &mut ErrorList) {
    let without_seconds = |toleration: Place<'_>| {
        let mut kept = toleration.value.clone();
        take(&mut kept, "tolerationSeconds");
        kept
    };
    let kept: Vec<Value> = new.items().map(without_seconds).collect();
    for toleration in old.items().map(without_seconds) {
        if !kept
            .iter()
            .any(|known| same(Some(known), Some(&toleration)))
        {
            let detail = "existing toleration can not be modified except its tolerationSeconds";
            new.forbidden(detail, errors);
            return;
        }
    }
    scheduling::tolerations(new, errors);
}

/// The new pod with everything that may change set back to what it was.
fn without_allowed_changes(new: &Value, old: &Value, errors: &mut ErrorList) -> Value {
    let mut munged = new.clone();
    for kind in ["spec.containers", "spec.initContainers"] {
        if let Some(Value::Array(containers)) = crate::value::at_mut(&mut munged, kind) {
            for (container, before) in containers.iter_mut().zip(list(old, kind)) {
                carry(container, before, "image");
            }
        }
    }
    for place in [
        "spec.activeDeadlineSeconds",
        "spec.schedulingGates",
        "spec.tolerations",
    ] {
        carry(&mut munged, old, place);
    }
    let grace = "spec.terminationGracePeriodSeconds";
    if int(old, grace) < 0 && int(new, grace) == 1 {
        carry(&mut munged, old, grace);
    }
    if !list(old, "spec.schedulingGates").is_empty() {
        gated_changes(&mut munged, old, errors);
    }
    munged
}

/// While gates hold a pod back, the choice of its node may still be narrowed.
fn gated_changes(munged: &mut Value, old: &Value, errors: &mut ErrorList) {
    let snapshot = munged.clone();
    let (new, before) = (Place::top(&snapshot, "spec"), Place::top(old, "spec"));
    let selector = new.at("nodeSelector");
    for (key, value) in before.at("nodeSelector").entries() {
        if selector.value.get(key) != Some(value.value) {
            let detail =
                "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            selector.invalid(detail, errors);
            break;
        }
    }
    carry(munged, old, "spec.nodeSelector");
    let terms =
        "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let (terms, old_terms) = (new.at(terms), before.at(terms));
    let narrowed = terms.len() == old_terms.len()
        && old_terms.items().zip(terms.items()).all(|(old, new)| {
            ["matchExpressions", "matchFields"].iter().all(|kind| {
                let kept = list(new.value, kind);
                list(old.value, kind)
                    .iter()
                    .all(|requirement| kept.contains(requirement))
            })
        });
    if !old_terms.is_empty() && !narrowed {
        terms.invalid(
            "no additions/deletions to non-empty NodeSelectorTerms list are allowed",
            errors,
        );
    }
    if has(old, "spec.affinity") {
        carry(munged, old, "spec.affinity.nodeAffinity");
    } else if let Some(Value::Object(affinity)) = crate::value::at_mut(munged, "spec.affinity") {
        affinity.remove("nodeAffinity");
        if affinity.is_empty() {
            take(munged, "spec.affinity");
        }
    }
}

fn status(new: &Value, old: &Value, errors: &mut ErrorList) {
    let (status, before) = (Place::top(new, "status"), Place::top(old, "status"));
    for condition in status.at("conditions").items() {
        condition.at("type").qualified_name(errors);
    }
    let nominated = status.at("nominatedNodeName");
    if !nominated.is_empty() && !nominated.equals(&before.at("nominatedNodeName")) {
        nominated.named(name_is_dns_subdomain, errors);
        if !text(old, "spec.nodeName").is_empty() {
            let detail = "may not be set on pods that are already bound to a node";
            nominated.forbidden(detail, errors);
        }
    }
    if status.at("observedGeneration").int() < 0 {
        status
            .at("observedGeneration")
            .invalid("must be a non-negative integer", errors);
    }
    let class = status.at("qosClass");
    if !class.equals(&before.at("qosClass")) {
        class.invalid(FIELD_IMMUTABLE, errors);
    }
    for kind in ["containerStatuses", "initContainerStatuses"] {
        restarts(&status.at(kind), &before.at(kind), old, kind, errors);
    }
    for address in status.at("podIPs").items() {
        address.at("ip").legacy_ip(errors);
    }
}

/// A container that has ended and may not be restarted stays ended.
fn restarts(new: &Place<'_>, old: &Place<'_>, pod: &Value, kind: &str, errors: &mut ErrorList) {
    let policy = text(pod, "spec.restartPolicy");
    let containers = if kind == "containerStatuses" {
        "spec.containers"
    } else {
        "spec.initContainers"
    };
    for (index, before) in old.items().enumerate() {
        let Some(end) = at(before.value, "state.terminated") else {
            continue;
        };
        let name = before.at("name").text();
        let container = list(pod, containers)
            .iter()
            .find(|c| text(c, "name") == name);
        let own_policy = container.map_or("", |container| text(container, "restartPolicy"));
        let may_restart = policy == "Always"
            || !own_policy.is_empty()
            || (policy == "OnFailure" && int(end, "exitCode") != 0);
        let after = new.items().find(|status| status.at("name").text() == name);
        let ended = after.is_none_or(|after| has(after.value, "state.terminated"));
        if !may_restart && !ended {
            let path = new.path.index(index).child("state");
            errors.push(Error::forbidden(
                &path,
                "may not be transitioned to non-terminated state",
            ));
        }
    }
}

fn ephemeral_containers(new: &Value, old: &Value, errors: &mut ErrorList) {
    let path = Place::top(new, "spec").at("ephemeralContainers").path;
    let containers = list(new, "spec.ephemeralContainers");
    for before in list(old, "spec.ephemeralContainers") {
        let name = text(before, "name");
        match containers
            .iter()
            .find(|container| text(container, "name") == name)
        {
            None => {
                let detail =
                    format!("existing ephemeral containers \"{name}\" may not be removed\n");
                errors.push(Error::forbidden(&path, detail));
            }
            Some(after) if !same(Some(before), Some(after)) => {
                let changed = differences(before, after, name);
                let detail = format!(
                    "existing ephemeral containers \"{name}\" may not be changed\n{changed}"
                );
                errors.push(Error::forbidden(&path, detail));
            }
            Some(_) => {}
        }
    }
}

/// Only cpu and memory of containers may change, and the class of service may not.
fn resize(new: &Value, old: &Value, errors: &mut ErrorList) {
    metadata_and_spec(new, errors);
    let spec = Place::top(new, "spec");
    let class = |pod| at(pod, "spec").map_or("", crate::resources::qos_class);
    if class(new) != class(old) {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(Error::invalid(&spec.path, class(old), detail));
    }
    let mut munged = new.clone();
    for kind in ["spec.containers", "spec.initContainers"] {
        if list(new, kind).len() != list(old, kind).len() {
            spec.forbidden("containers may not be added or removed on resize", errors);
            return;
        }
        if let Some(Value::Array(containers)) = crate::value::at_mut(&mut munged, kind) {
            for (container, before) in containers.iter_mut().zip(list(old, kind)) {
                for which in ["limits", "requests"] {
                    keep_amounts(container, before, &format!("resources.{which}"));
                }
                carry(container, before, "resizePolicy");
            }
        }
    }
    for which in ["limits", "requests"] {
        keep_amounts(&mut munged, old, &format!("spec.resources.{which}"));
    }
    if !same(at(&munged, "spec"), at(old, "spec")) {
        spec.forbidden("only cpu and memory resources are mutable", errors);
    }
}

/// Sets cpu and memory of a resource list to what they were.
fn keep_amounts(new: &mut Value, old: &Value, place: &str) {
    for resource in ["cpu", "memory"] {
        let path = format!("{place}.{resource}");
        match at(old, &path) {
            Some(amount) => set(new, &path, amount.clone()),
            None => {
                take(new, &path);
            }
        }
    }
}
