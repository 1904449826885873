//! The cells of events, quotas, bindings, certificates and the other kinds of cluster management.

use super::cells::{NONE, UNSET, is_true, or, plain};
use crate::selectors::selector_text;
use crate::time::{ago, human_duration};
use crate::value::{at, entries, entry, has, int, list, map, number, text};
use serde_json::{Map, Value};

pub(super) fn min_available(budget: &Value, _: i64) -> Value {
    plain(at(budget, "spec.minAvailable"), "N/A").into()
}

pub(super) fn max_unavailable(budget: &Value, _: i64) -> Value {
    plain(at(budget, "spec.maxUnavailable"), "N/A").into()
}

pub(super) fn config_map_data(config: &Value, _: i64) -> Value {
    let count = |path| map(config, path).map_or(0, Map::len);
    (count("data") + count("binaryData")).into()
}

/// The quotas of limits, or of everything else, as `name: used/hard`.
fn quotas(quota: &Value, of_limits: bool) -> Value {
    let shown = entries(quota, "status.hard")
        .filter(|(name, _)| name.starts_with("limits.") == of_limits)
        .map(|(name, hard)| {
            let used = plain(entry(quota, "status.used", name), "0");
            format!("{name}: {used}/{}", plain(Some(hard), "0"))
        });
    shown.collect::<Vec<_>>().join(", ").into()
}

pub(super) fn quota_requests(quota: &Value, _: i64) -> Value {
    quotas(quota, false)
}

pub(super) fn quota_limits(quota: &Value, _: i64) -> Value {
    quotas(quota, true)
}

/// The first of these places that is set: the fields of events differ between the two event groups.
fn first<'a>(object: &'a Value, places: &[&str]) -> Option<&'a Value> {
    places
        .iter()
        .find_map(|place| at(object, place).filter(|value| !crate::value::is_empty(Some(value))))
}

fn first_text<'a>(object: &'a Value, places: &[&str]) -> &'a str {
    first(object, places).and_then(Value::as_str).unwrap_or("")
}

pub(super) fn first_seen(event: &Value, now: i64) -> Value {
    ago(
        first(
            event,
            &["firstTimestamp", "deprecatedFirstTimestamp", "eventTime"],
        ),
        now,
    )
    .into()
}

pub(super) fn last_seen(event: &Value, now: i64) -> Value {
    if has(event, "series") {
        return ago(at(event, "series.lastObservedTime"), now).into();
    }
    match first(event, &["lastTimestamp", "deprecatedLastTimestamp"]) {
        Some(time) => ago(Some(time), now).into(),
        None => first_seen(event, now),
    }
}

pub(super) fn event_count(event: &Value, _: i64) -> Value {
    if has(event, "series") {
        return int(event, "series.count").into();
    }
    first(event, &["count", "deprecatedCount"])
        .and_then(Value::as_i64)
        .unwrap_or(1)
        .into()
}

pub(super) fn event_object(event: &Value, _: i64) -> Value {
    let kind = first_text(event, &["involvedObject.kind", "regarding.kind"]).to_lowercase();
    match first_text(event, &["involvedObject.name", "regarding.name"]) {
        "" => kind.into(),
        name => format!("{kind}/{name}").into(),
    }
}

pub(super) fn event_subobject(event: &Value, _: i64) -> Value {
    first_text(event, &["involvedObject.fieldPath", "regarding.fieldPath"]).into()
}

pub(super) fn event_source(event: &Value, _: i64) -> Value {
    let component = [
        "source.component",
        "deprecatedSource.component",
        "reportingComponent",
        "reportingController",
    ];
    let instance = ["source.host", "deprecatedSource.host", "reportingInstance"];
    let component = first_text(event, &component);
    match first_text(event, &instance) {
        "" => component.into(),
        instance => format!("{component}, {instance}").into(),
    }
}

pub(super) fn event_message(event: &Value, _: i64) -> Value {
    first_text(event, &["message", "note"]).trim().into()
}

pub(super) fn role(binding: &Value, _: i64) -> Value {
    format!(
        "{}/{}",
        text(binding, "roleRef.kind"),
        text(binding, "roleRef.name")
    )
    .into()
}

fn subjects(binding: &Value, kind: &str) -> Value {
    let of_kind = list(binding, "subjects")
        .iter()
        .filter(|subject| text(subject, "kind") == kind);
    let shown = of_kind.map(|subject| match kind {
        "ServiceAccount" => format!("{}/{}", text(subject, "namespace"), text(subject, "name")),
        _ => text(subject, "name").to_owned(),
    });
    shown.collect::<Vec<_>>().join(", ").into()
}

pub(super) fn users(binding: &Value, _: i64) -> Value {
    subjects(binding, "User")
}

pub(super) fn groups(binding: &Value, _: i64) -> Value {
    subjects(binding, "Group")
}

pub(super) fn service_accounts(binding: &Value, _: i64) -> Value {
    subjects(binding, "ServiceAccount")
}

pub(super) fn requested_duration(request: &Value, _: i64) -> Value {
    match number(request, "spec.expirationSeconds") {
        Some(seconds) => human_duration(seconds.saturating_mul(1000)).into(),
        None => NONE.into(),
    }
}

/// Conditions of requests count by being there, whatever their status.
fn has_condition(object: &Value, kind: &str) -> bool {
    list(object, "status.conditions")
        .iter()
        .any(|condition| text(condition, "type") == kind)
}

pub(super) fn request_condition(request: &Value, _: i64) -> Value {
    let mut shown = match () {
        () if has_condition(request, "Denied") => "Denied",
        () if has_condition(request, "Approved") => "Approved",
        () => "Pending",
    }
    .to_owned();
    if has_condition(request, "Failed") {
        shown.push_str(",Failed");
    }
    if !text(request, "status.certificate").is_empty() {
        shown.push_str(",Issued");
    }
    shown.into()
}

pub(super) fn pod_request_state(request: &Value, _: i64) -> Value {
    let mut conditions = list(request, "status.conditions")
        .iter()
        .map(|condition| text(condition, "type"));
    let last = conditions.rfind(|kind| matches!(*kind, "Issued" | "Denied" | "Failed"));
    last.unwrap_or("Pending").into()
}

pub(super) fn param_kind(policy: &Value, _: i64) -> Value {
    match at(policy, "spec.paramKind") {
        Some(kind) => format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind")).into(),
        None => UNSET.into(),
    }
}

pub(super) fn param_ref(binding: &Value, _: i64) -> Value {
    let Some(reference) = at(binding, "spec.paramRef") else {
        return UNSET.into();
    };
    match (text(reference, "namespace"), text(reference, "name")) {
        (_, "") => match at(reference, "selector") {
            Some(selector) => selector_text(Some(selector)).unwrap_or_default().into(),
            None => UNSET.into(),
        },
        (namespace, name) => format!("{}/{name}", or(namespace, "*")).into(),
    }
}

pub(super) fn dangling(schema: &Value, _: i64) -> Value {
    let mut conditions = list(schema, "status.conditions").iter();
    let found = conditions.find(|condition| text(condition, "type") == "Dangling");
    found
        .map_or("?", |condition| text(condition, "status"))
        .into()
}

fn number_or_none(level: &Value, path: &str) -> Value {
    at(level, path).cloned().unwrap_or_else(|| NONE.into())
}

pub(super) fn shares(level: &Value, _: i64) -> Value {
    number_or_none(level, "spec.limited.nominalConcurrencyShares")
}

pub(super) fn queues(level: &Value, _: i64) -> Value {
    number_or_none(level, "spec.limited.limitResponse.queuing.queues")
}

pub(super) fn hand_size(level: &Value, _: i64) -> Value {
    number_or_none(level, "spec.limited.limitResponse.queuing.handSize")
}

pub(super) fn queue_length_limit(level: &Value, _: i64) -> Value {
    number_or_none(level, "spec.limited.limitResponse.queuing.queueLengthLimit")
}

pub(super) fn claim_state(claim: &Value, _: i64) -> Value {
    let deleted = has(claim, "metadata.deletionTimestamp");
    let allocated = has(claim, "status.allocation");
    let reserved = allocated && !list(claim, "status.reservedFor").is_empty();
    let states = [
        (deleted, "deleted"),
        (!deleted && !allocated, "pending"),
        (allocated, "allocated"),
        (reserved, "reserved"),
    ];
    let shown = states
        .iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, state)| *state);
    shown.collect::<Vec<_>>().join(",").into()
}

pub(super) fn taint_added(rule: &Value, now: i64) -> Value {
    match at(rule, "spec.taint.timeAdded") {
        Some(time) => ago(Some(time), now).into(),
        None => "".into(),
    }
}

pub(super) fn migrated(migration: &Value, _: i64) -> Value {
    let resource = text(migration, "spec.resource.resource");
    match text(migration, "spec.resource.group") {
        "" => resource.into(),
        group => format!("{resource}.{group}").into(),
    }
}

pub(super) fn migration_status(migration: &Value, _: i64) -> Value {
    let kinds = ["Running", "Failed", "Succeeded"];
    let conditions = list(migration, "status.conditions").iter();
    let holding = conditions.filter(|condition| text(condition, "status") == "True");
    let last = holding
        .map(|condition| text(condition, "type"))
        .rfind(|kind| kinds.contains(kind));
    last.unwrap_or("Unknown").into()
}

pub(super) fn api_service(service: &Value, _: i64) -> Value {
    match at(service, "spec.service") {
        Some(backend) => format!("{}/{}", text(backend, "namespace"), text(backend, "name")).into(),
        None => "Local".into(),
    }
}

pub(super) fn api_available(service: &Value, _: i64) -> Value {
    let mut conditions = list(service, "status.conditions").iter();
    match conditions.find(|condition| text(condition, "type") == "Available") {
        Some(_) if is_true(service, "Available") => "True".into(),
        Some(condition) => format!(
            "{} ({})",
            text(condition, "status"),
            text(condition, "reason")
        )
        .into(),
        None => "Unknown".into(),
    }
}
