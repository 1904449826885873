//! Deployments, replica sets, stateful sets, daemon sets and replication controllers.

use super::place::Place;
use super::{pod_spec, storage};
use crate::selectors::selects;
use crate::strategy::Part;
use crate::value::{carry, list, same, set, take, text};
use mainstay_machinery::field::{Error, ErrorList};
use mainstay_machinery::selector::from_label_selector;
use mainstay_machinery::validate::percent;
use serde_json::{Value, json};

const NO_MATCH: &str = "`selector` does not match template `labels`";
/// What of a stateful set's spec may change, in words clients know.
const STATEFUL_SET_UPDATES: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/// A count, or a share like `25%`.
pub(super) fn int_or_percent(value: &Place<'_>, errors: &mut ErrorList) {
    match value.value {
        Value::String(text) => value.messages(percent(text), errors),
        _ => value.nonnegative(errors),
    }
}

fn share(value: &Place<'_>) -> Option<i64> {
    value.text().strip_suffix('%')?.parse().ok()
}

/// The number, whether a count or a share.
fn amount(value: &Place<'_>) -> i64 {
    share(value).unwrap_or_else(|| value.int())
}

pub(super) fn at_most_all(value: &Place<'_>, errors: &mut ErrorList) {
    if share(value).is_some_and(|percent| percent > 100) {
        value.invalid("must not be greater than 100%", errors);
    }
}

/// The selector must be there, not empty, and select the pods of the template.
fn selector(spec: &Place<'_>, called: &str, errors: &mut ErrorList) {
    let selector = spec.at("selector");
    if !selector.is_set() {
        selector.required("", errors);
    } else {
        selector.selector(errors);
        if selector.at("matchLabels").len() + selector.at("matchExpressions").len() == 0 {
            selector.invalid(format!("empty selector is invalid for {called}"), errors);
        }
    }
    if selector.is_set() && from_label_selector(selector.value).is_err() {
        let detail = if called == "statefulset" {
            ""
        } else {
            "invalid label selector"
        };
        selector.invalid(detail, errors);
        return;
    }
    let labels = spec.at("template.metadata.labels");
    // Upstream takes a selector that is missing for one of nothing.
    if !selector.is_set() || !selects(selector.value, Some(labels.value)) {
        labels.invalid(NO_MATCH, errors);
    }
}

/// Pods of controllers are restarted for ever.
fn restarts_always(template: &Place<'_>, kind: &str, errors: &mut ErrorList) {
    let policy = template.at("spec.restartPolicy");
    if policy.text() != "Always" {
        errors.push(Error::not_supported(
            &policy.path,
            policy.text(),
            &["Always"],
        ));
    }
    let deadline = template.at("spec.activeDeadlineSeconds");
    if deadline.is_set() {
        deadline.forbidden(
            format!("activeDeadlineSeconds in {kind} is not Supported"),
            errors,
        );
    }
}

fn counts(place: &Place<'_>, names: &[&'static str], errors: &mut ErrorList) {
    for name in names {
        place.at(name).nonnegative(errors);
    }
}

pub(super) fn deployment(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    counts(&spec, &["replicas"], errors);
    selector(&spec, "deployment", errors);
    pod_spec::template(&spec.at("template"), errors);
    restarts_always(&spec.at("template"), "ReplicaSet", errors);
    deployment_strategy(&spec.at("strategy"), errors);
    counts(
        &spec,
        &[
            "minReadySeconds",
            "revisionHistoryLimit",
            "progressDeadlineSeconds",
        ],
        errors,
    );
    let deadline = spec.at("progressDeadlineSeconds");
    if deadline
        .number()
        .is_some_and(|seconds| seconds <= spec.at("minReadySeconds").int())
    {
        deadline.invalid("must be greater than minReadySeconds", errors);
    }
}

fn deployment_strategy(strategy: &Place<'_>, errors: &mut ErrorList) {
    let rolling = strategy.at("rollingUpdate");
    match strategy.at("type").text() {
        "Recreate" => {
            if rolling.is_set() {
                rolling.forbidden(
                    "may not be specified when strategy `type` is 'Recreate'",
                    errors,
                );
            }
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
            int_or_percent(&unavailable, errors);
            int_or_percent(&surge, errors);
            if amount(&unavailable) == 0 && amount(&surge) == 0 {
                unavailable.invalid("may not be 0 when `maxSurge` is 0", errors);
            }
            at_most_all(&unavailable, errors);
        }
        _ => errors.push(Error::not_supported(
            &strategy.path,
            strategy.value.clone(),
            &["Recreate", "RollingUpdate"],
        )),
    }
}

/// A selector decides whose pods they are: it cannot be changed.
pub(super) fn keeps_selector(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Main {
        let (new, old) = (Place::top(new, "spec"), Place::top(old, "spec"));
        new.at("selector").immutable(&old.at("selector"), errors);
    }
}

/// Counts of a status are not negative, and none is more than all.
pub(super) fn status(object: &Value, errors: &mut ErrorList) {
    let status = Place::top(object, "status");
    let parts = [
        "updatedReplicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "currentReplicas",
        "availableReplicas",
    ];
    counts(&status, &["observedGeneration", "replicas"], errors);
    counts(&status, &parts, errors);
    counts(&status, &["unavailableReplicas", "collisionCount"], errors);
    for part in parts {
        let count = status.at(part);
        if count.is_set() && count.int() > status.at("replicas").int() {
            status
                .at(part)
                .invalid("cannot be greater than status.replicas", errors);
        }
    }
    let available = status.at("availableReplicas");
    if available.int() > status.at("readyReplicas").int() {
        available.invalid("cannot be greater than readyReplicas", errors);
    }
}

pub(super) fn replica_set(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    counts(&spec, &["replicas", "minReadySeconds"], errors);
    selector(&spec, "deployment", errors);
    pod_spec::template(&spec.at("template"), errors);
    restarts_always(&spec.at("template"), "ReplicaSet", errors);
}

pub(super) fn replication_controller(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    counts(&spec, &["minReadySeconds"], errors);
    spec.at("selector").must_be_set(errors);
    counts(&spec, &["replicas"], errors);
    let template = spec.at("template");
    if !template.is_set() {
        template.required("", errors);
        return;
    }
    let labels = template.at("metadata.labels");
    let selector = json!({"matchLabels": spec.at("selector").value});
    if !spec.at("selector").is_empty() && !selects(&selector, Some(labels.value)) {
        labels.invalid(NO_MATCH, errors);
    }
    pod_spec::template(&template, errors);
    restarts_always(&template, "ReplicationController", errors);
}

pub(super) fn daemon_set(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let selector = spec.at("selector");
    selector.selector(errors);
    let labels = spec.at("template.metadata.labels");
    if from_label_selector(selector.value).is_ok() && !selects(selector.value, Some(labels.value)) {
        labels.invalid(NO_MATCH, errors);
    }
    if selector.is_set()
        && selector.at("matchLabels").len() + selector.at("matchExpressions").len() == 0
    {
        selector.invalid("empty selector is invalid for daemonset", errors);
    }
    pod_spec::template(&spec.at("template"), errors);
    restarts_always(&spec.at("template"), "DaemonSet", errors);
    counts(&spec, &["minReadySeconds"], errors);
    daemon_strategy(&spec.at("updateStrategy"), errors);
    counts(&spec, &["revisionHistoryLimit"], errors);
}

fn daemon_strategy(strategy: &Place<'_>, errors: &mut ErrorList) {
    let rolling = strategy.at("rollingUpdate");
    match strategy.at("type").text() {
        "OnDelete" => return,
        "RollingUpdate" if rolling.is_set() => {}
        "RollingUpdate" => {
            rolling.required("", errors);
            return;
        }
        _ => {
            let known = ["RollingUpdate", "OnDelete"];
            errors.push(Error::not_supported(
                &strategy.path,
                strategy.value.clone(),
                &known,
            ));
            return;
        }
    }
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    for value in [&unavailable, &surge] {
        int_or_percent(value, errors);
    }
    for value in [&unavailable, &surge] {
        at_most_all(value, errors);
    }
    match (amount(&unavailable) != 0, amount(&surge) != 0) {
        (true, true) => surge.invalid("may not be set when maxUnavailable is non-zero", errors),
        (false, false) => unavailable.required("cannot be 0 when maxSurge is 0", errors),
        _ => {}
    }
}

pub(super) fn stateful_set(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    stateful_set_policies(&spec, errors);
    for claim in spec.at("volumeClaimTemplates").items() {
        storage::claim_spec(&claim.at("spec"), errors);
    }
    counts(&spec, &["replicas", "minReadySeconds"], errors);
    if spec.at("ordinals.start").int() < 0 {
        let path = spec.path.child("ordinals.start");
        let detail = "must be greater than or equal to 0";
        errors.push(Error::invalid(
            &path,
            spec.at("ordinals.start").int(),
            detail,
        ));
    }
    if !spec.at("serviceName").is_empty() {
        spec.at("serviceName").dns_label(errors);
    }
    selector(&spec, "statefulset", errors);
    let template = with_claimed_volumes(&spec);
    pod_spec::template(
        &Place {
            value: &template,
            path: spec.path.child("template"),
        },
        errors,
    );
    restarts_always(&spec.at("template"), "StatefulSet", errors);
}

fn stateful_set_policies(spec: &Place<'_>, errors: &mut ErrorList) {
    let management = spec.at("podManagementPolicy");
    match management.text() {
        "" => management.required("", errors),
        "OrderedReady" | "Parallel" => {}
        _ => management.invalid("must be 'OrderedReady' or 'Parallel'", errors),
    }
    let strategy = spec.at("updateStrategy");
    let rolling = strategy.at("rollingUpdate");
    match strategy.at("type").text() {
        "" => strategy.required("", errors),
        "OnDelete" if rolling.is_set() => {
            rolling.invalid("only allowed for updateStrategy 'RollingUpdate'", errors);
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            counts(&rolling, &["partition"], errors);
            let unavailable = rolling.at("maxUnavailable");
            if unavailable.is_set() {
                int_or_percent(&unavailable, errors);
                if amount(&unavailable) == 0 {
                    unavailable.invalid("cannot be 0", errors);
                }
                at_most_all(&unavailable, errors);
            }
        }
        _ => strategy.invalid("must be 'RollingUpdate' or 'OnDelete'", errors),
    }
    let retention = spec.at("persistentVolumeClaimRetentionPolicy");
    if retention.is_set() {
        for when in ["whenDeleted", "whenScaled"] {
            retention.at(when).supported(&["Retain", "Delete"], errors);
        }
    }
}

/// The template as its pods will have it: with a volume for every claim, and without the host name
/// and subdomain the set gives.
fn with_claimed_volumes(spec: &Place<'_>) -> Value {
    let mut template = spec.at("template").value.clone();
    for name in ["spec.hostname", "spec.subdomain"] {
        take(&mut template, name);
    }
    let claims: Vec<&str> = spec
        .at("volumeClaimTemplates")
        .items()
        .map(|claim| text(claim.value, "metadata.name"))
        .collect();
    if claims.is_empty() {
        return template;
    }
    let claimed = |name: &&str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    let mut volumes: Vec<Value> = claims.iter().map(claimed).collect();
    let own = |volume: &&Value| !claims.contains(&text(volume, "name"));
    volumes.extend(list(&template, "spec.volumes").iter().filter(own).cloned());
    set(&mut template, "spec.volumes", volumes);
    template
}

pub(super) fn update_stateful_set(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part != Part::Main {
        return;
    }
    let mut munged = new.clone();
    for name in [
        "replicas",
        "template",
        "updateStrategy",
        "minReadySeconds",
        "ordinals",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
    ] {
        carry(&mut munged, old, &format!("spec.{name}"));
    }
    if !same(munged.get("spec"), old.get("spec")) {
        Place::top(new, "spec").forbidden(STATEFUL_SET_UPDATES, errors);
    }
}

pub(super) fn controller_revision(object: &Value, errors: &mut ErrorList) {
    Place::top(object, "revision").nonnegative(errors);
    let data = Place::top(object, "data");
    if !data.is_set() {
        data.required("data is mandatory", errors);
    } else if !data.value.is_object() {
        data.required("data must be a valid JSON object", errors);
    }
}

pub(super) fn keeps_data(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    Place::top(new, "data").immutable(&Place::top(old, "data"), errors);
}
