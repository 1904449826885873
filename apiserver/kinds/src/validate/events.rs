//! Events, in the form of the core group: both APIs store that.

use super::place::Place;
use crate::strategy::Part;
use crate::value::same;
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::validate::{FIELD_IMMUTABLE, dns1123_subdomain, qualified_name};
use serde_json::Value;

const WORD_LENGTH_MAX: usize = 128;
const MESSAGE_LENGTH_MAX: usize = 1024;

pub(super) fn event(object: &Value, errors: &mut ErrorList) {
    let involved = Place::top(object, "involvedObject").at("namespace");
    let namespace = Place::top(object, "metadata").at("namespace").text();
    // Events with a time of their own are those of the newer API, whose clients promise more.
    let is_new = !Place::top(object, "eventTime").is_empty();
    let fits = match (involved.is_empty(), is_new) {
        (true, true) => matches!(namespace, "default" | "kube-system"),
        (true, false) => matches!(namespace, "" | "default"),
        (false, true) => true,
        (false, false) => involved.text() == namespace,
    };
    if !fits {
        involved_mismatch(&involved, errors);
    }
    if is_new {
        words(object, errors);
    }
    for message in dns1123_subdomain(namespace) {
        errors.push(Error::invalid(&Path::new("namespace"), namespace, message));
    }
}

fn involved_mismatch(involved: &Place<'_>, errors: &mut ErrorList) {
    errors.push(Error::invalid(
        &involved.path,
        involved.text(),
        "does not match event.namespace",
    ));
}

fn words(object: &Value, errors: &mut ErrorList) {
    let path = Path::new("reportingController");
    let controller = Place::top(object, "reportingComponent").text();
    if controller.is_empty() {
        errors.push(Error::required(&path, ""));
    }
    for message in qualified_name(controller) {
        errors.push(Error::invalid(&path, controller, message));
    }
    for name in ["reportingInstance", "action", "reason"] {
        let place = Place::top(object, name);
        place.must_be_set(errors);
        at_most(&place, WORD_LENGTH_MAX, errors);
    }
    at_most(&Place::top(object, "message"), MESSAGE_LENGTH_MAX, errors);
}

fn at_most(place: &Place<'_>, bytes: usize, errors: &mut ErrorList) {
    if place.text().len() > bytes {
        let detail = format!("can have at most {bytes} characters");
        errors.push(Error::invalid(&place.path, "", detail));
    }
}

pub(super) fn update_event(new: &Value, _: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Main {
        event(new, errors);
    }
}

/// What `events.k8s.io/v1` asks of an event beyond the rules that hold for both APIs. The event and the one
/// stored before (none for a create) are in the form of the core group.
#[must_use]
pub fn strict_event_errors(new: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::default();
    match old {
        None => strict_create(new, &mut errors),
        Some(old) => strict_update(new, old, &mut errors),
    }
    errors
}

fn strict_create(object: &Value, errors: &mut ErrorList) {
    series(object, errors);
    let time = Place::top(object, "eventTime");
    time.must_be_set(errors);
    let kind = Place::top(object, "type");
    if !matches!(kind.text(), "Normal" | "Warning") {
        let detail = format!("has invalid value: {}", kind.text());
        errors.push(Error::invalid(&kind.path, "", detail));
    }
    for name in ["firstTimestamp", "lastTimestamp", "count"] {
        let place = Place::top(object, name);
        if place.is_set() && place.number() != Some(0) {
            errors.push(Error::invalid(&place.path, "", "needs to be unset"));
        }
    }
    let source = Place::top(object, "source");
    if !source.at("component").is_empty() || !source.at("host").is_empty() {
        errors.push(Error::invalid(&source.path, "", "needs to be unset"));
    }
}

fn series(object: &Value, errors: &mut ErrorList) {
    let series = Place::top(object, "series");
    if !series.is_set() {
        return;
    }
    // Upstream's paths are one word.
    if series.at("count").int() < 2 {
        let path = Path::new("series.count");
        errors.push(Error::invalid(&path, "", "should be at least 2"));
    }
    if series.at("lastObservedTime").is_empty() {
        errors.push(Error::required(&Path::new("series.lastObservedTime"), ""));
    }
}

fn strict_update(new: &Value, old: &Value, errors: &mut ErrorList) {
    if !same(new.get("series"), old.get("series")) {
        series(new, errors);
    }
    for (field, path) in [
        ("involvedObject", "involvedObject"),
        ("reason", "reason"),
        ("message", "message"),
        ("source", "source"),
        ("firstTimestamp", "firstTimestamp"),
        ("lastTimestamp", "lastTimestamp"),
        ("count", "count"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        let (before, after) = (Place::top(old, field), Place::top(new, field));
        let unset = before.is_empty() && after.is_empty();
        if !(unset || before.equals(&after)) {
            let value = after.value.clone();
            errors.push(Error::invalid(&Path::new(path), value, FIELD_IMMUTABLE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of_new_api() -> Value {
        json!({
            "metadata": {"name": "e", "namespace": "n"},
            "involvedObject": {"kind": "Pod", "namespace": "n", "name": "p"},
            "eventTime": "2026-01-01T00:00:00.000000Z",
            "reportingComponent": "example.com/c", "reportingInstance": "c-1",
            "action": "A", "reason": "R", "type": "Normal",
        })
    }

    fn with(field: &str, value: Value) -> Value {
        let mut event = of_new_api();
        event[field] = value;
        event
    }

    #[test]
    fn rules_of_both_apis() {
        let long = "x".repeat(129);
        let cases = [
            (of_new_api(), String::new()),
            (
                with("reportingInstance", json!("")),
                "reportingInstance: Required value".to_owned(),
            ),
            (
                with("action", json!(long)),
                "action: Invalid value: \"\": can have at most 128 characters".to_owned(),
            ),
            (
                with("message", json!("x".repeat(1025))),
                "message: Invalid value: \"\": can have at most 1024 characters".to_owned(),
            ),
            (
                with("involvedObject", json!({"kind": "Node", "name": "a"})),
                "involvedObject.namespace: Invalid value: \"\": does not match event.namespace"
                    .to_owned(),
            ),
            // Without a time of its own an event may lack the rest, but must be beside its object.
            (
                json!({"metadata": {"namespace": "default"}, "involvedObject": {"kind": "Node"}}),
                String::new(),
            ),
            (
                json!({"metadata": {"namespace": "n"}, "involvedObject": {"namespace": "m"}}),
                "involvedObject.namespace: Invalid value: \"m\": does not match event.namespace"
                    .to_owned(),
            ),
        ];
        for (object, expected) in cases {
            let mut errors = ErrorList::default();
            event(&object, &mut errors);
            let found = match errors.is_empty() {
                true => String::new(),
                false => errors.to_string(),
            };
            assert_eq!(found, expected, "{object}");
        }
    }

    #[test]
    fn the_newer_api_takes_no_fields_of_the_older() {
        let cases = [
            ("eventTime", Value::Null, "eventTime: Required value"),
            (
                "type",
                json!("Odd"),
                "type: Invalid value: \"\": has invalid value: Odd",
            ),
            (
                "count",
                json!(3),
                "count: Invalid value: \"\": needs to be unset",
            ),
            (
                "source",
                json!({"component": "c"}),
                "source: Invalid value: \"\": needs to be unset",
            ),
            (
                "firstTimestamp",
                json!("2026-01-01T00:00:00Z"),
                "firstTimestamp: Invalid value: \"\": needs to be unset",
            ),
            (
                "series",
                json!({"count": 1, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}),
                "series.count: Invalid value: \"\": should be at least 2",
            ),
            (
                "series",
                json!({"count": 2}),
                "series.lastObservedTime: Required value",
            ),
        ];
        for (field, value, expected) in cases {
            let errors = strict_event_errors(&with(field, value), None);
            assert_eq!(errors.to_string(), expected);
        }
        assert!(strict_event_errors(&of_new_api(), None).is_empty());
        let old = of_new_api();
        let again = with(
            "series",
            json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}),
        );
        assert!(strict_event_errors(&again, Some(&old)).is_empty());
        let errors = strict_event_errors(&with("message", json!("m")), Some(&old));
        assert_eq!(
            errors.to_string(),
            "message: Invalid value: \"m\": field is immutable"
        );
    }
}
