//! Autoscalers.

use super::place::{NOT_POSITIVE, Place};
use super::resources;
use crate::strategy::Part;
use crate::value::text;
use mainstay_machinery::field::{Error, ErrorList};
use mainstay_machinery::validate::path_segment_name;
use serde_json::Value;

const WINDOW_SECONDS_MAX: i64 = 3600;
const PERIOD_SECONDS_MAX: i64 = 1800;
const METRICS: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

pub(super) fn autoscaler(object: &Value, errors: &mut ErrorList) {
    whole(object, lacks_group(object), errors);
}

/// Nothing of the core group but replication controllers can be scaled.
fn lacks_group(object: &Value) -> bool {
    let target = |field| text(object, field);
    !target("spec.scaleTargetRef.apiVersion").contains('/')
        && target("spec.scaleTargetRef.kind") != "ReplicationController"
}

/// `ungrouped`: whether what is scaled is to be told that it lacks a group.
fn whole(object: &Value, ungrouped: bool, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let (min, max) = (spec.at("minReplicas"), spec.at("maxReplicas"));
    if min.number().is_some_and(|min| min < 1) {
        min.invalid("must be greater than or equal to 1", errors);
    }
    match max.int() {
        0 => max.required("must be set and greater than 0", errors),
        negative if negative < 0 => max.invalid("must be greater than or equal to 1", errors),
        _ => {}
    }
    if min.is_set() && max.int() < min.int() {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(Error::invalid(&max.path, max.int(), detail));
    }
    reference(&spec.at("scaleTargetRef"), errors);
    if ungrouped {
        let detail = "apiVersion must specify API group";
        let version = spec.at("scaleTargetRef.apiVersion");
        errors.push(Error::invalid(&version.path, version.text(), detail));
    }
    if text(object, "apiVersion") == "autoscaling/v1" {
        let target = spec.at("targetCPUUtilizationPercentage");
        if target.number().is_some_and(|percent| percent < 1) {
            target.invalid("must be greater than 0", errors);
        }
        return;
    }
    for metric in spec.at("metrics").items() {
        of_metric(&metric, errors);
    }
    for direction in ["scaleUp", "scaleDown"] {
        scaling_rules(&spec.at("behavior").at(direction), errors);
    }
}

/// Kind and name of an object that is referred to.
fn reference(object: &Place<'_>, errors: &mut ErrorList) {
    for name in ["kind", "name"] {
        let place = object.at(name);
        if place.is_empty() {
            place.required("", errors);
        } else {
            place.messages(path_segment_name(place.text()), errors);
        }
    }
}

fn of_metric(metric: &Place<'_>, errors: &mut ErrorList) {
    let kind = metric.at("type");
    let names: Vec<&str> = METRICS.iter().map(|(name, _)| *name).collect();
    if kind.is_empty() {
        kind.required("must specify a metric source type", errors);
    }
    kind.supported(&names, errors);
    let expected = METRICS
        .iter()
        .find(|(name, _)| *name == kind.text())
        .map(|(_, field)| *field);
    if let Some(field) = expected {
        let source = metric.at(field);
        if source.is_set() {
            metric_source(field, &source, errors);
        } else {
            source.required(
                "must populate information for the given metric source",
                errors,
            );
        }
    }
    for (_, field) in METRICS {
        if metric.at(field).is_set() && Some(field) != expected {
            let detail = "must populate the given metric source only";
            metric.at(field).forbidden(detail, errors);
        }
    }
}

fn metric_source(field: &str, source: &Place<'_>, errors: &mut ErrorList) {
    match field {
        "resource" | "containerResource" => {
            let name = source.at("name");
            if name.is_empty() {
                name.required("must specify a resource name", errors);
            }
            if field == "containerResource" && source.at("container").is_empty() {
                source
                    .at("container")
                    .required("must specify a container", errors);
            }
        }
        _ => {
            if field == "object" {
                reference(&source.at("describedObject"), errors);
            }
            let name = source.at("metric.name");
            if name.is_empty() {
                name.required("must specify a metric name", errors);
            } else {
                name.messages(path_segment_name(name.text()), errors);
            }
            source.at("metric.selector").selector(errors);
        }
    }
    metric_target(field, &source.at("target"), errors);
}

fn metric_target(field: &str, target: &Place<'_>, errors: &mut ErrorList) {
    let kind = target.at("type");
    if kind.is_empty() {
        kind.required("must specify a metric target type", errors);
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind.text()) {
        kind.invalid("must be either Utilization, Value, or AverageValue", errors);
    }
    for name in ["value", "averageValue"] {
        if let Some(amount) = target
            .at(name)
            .quantity()
            .filter(|amount| amount.signum() <= 0)
        {
            let path = target.at(name).path;
            errors.push(Error::invalid(
                &path,
                amount.to_string(),
                "must be positive",
            ));
        }
    }
    let percent = target.at("averageUtilization");
    if percent.number().is_some_and(|percent| percent < 1) {
        percent.invalid("must be greater than 0", errors);
    }
    let (value, average) = (
        target.at("value").is_set(),
        target.at("averageValue").is_set(),
    );
    match field {
        "resource" | "containerResource" => {
            if percent.is_set() && average {
                target.at("averageValue").forbidden(
                    "may not set both a target raw value and a target utilization",
                    errors,
                );
            } else if !percent.is_set() && !average {
                percent.required(
                    "must set either a target raw value or a target utilization",
                    errors,
                );
            }
        }
        "pods" if !average => {
            target
                .at("averageValue")
                .required("must specify a positive target averageValue", errors);
        }
        "external" | "object" => {
            if value && average {
                target.at("value").forbidden(
                    "may not set both a target value for metric and a per-pod target",
                    errors,
                );
            } else if !value && !average {
                target.at("averageValue").required(
                    "must set either a target value for metric or a per-pod target",
                    errors,
                );
            }
        }
        _ => {}
    }
}

fn scaling_rules(rules: &Place<'_>, errors: &mut ErrorList) {
    if !rules.is_set() {
        return;
    }
    let window = rules.at("stabilizationWindowSeconds");
    if window.int() < 0 {
        window.invalid("must be greater than or equal to zero", errors);
    }
    if window.int() > WINDOW_SECONDS_MAX {
        window.invalid(
            format!("must be less than or equal to {WINDOW_SECONDS_MAX}"),
            errors,
        );
    }
    rules
        .at("selectPolicy")
        .optional_one_of(&["Disabled", "Max", "Min"], errors);
    let policies = rules.at("policies");
    if policies.is_empty() {
        policies.required("must specify at least one Policy", errors);
    }
    for policy in policies.items() {
        policy.at("type").supported(&["Percent", "Pods"], errors);
        for name in ["value", "periodSeconds"] {
            if policy.at(name).int() <= 0 {
                let path = policy.at(name).path;
                errors.push(Error::invalid(&path, policy.at(name).int(), NOT_POSITIVE));
            }
        }
        let period = policy.at("periodSeconds");
        if period.int() > PERIOD_SECONDS_MAX {
            period.invalid(
                format!("must be less than or equal to {PERIOD_SECONDS_MAX}"),
                errors,
            );
        }
    }
    let tolerance = rules.at("tolerance");
    if let Some(amount) = tolerance.quantity() {
        resources::nonnegative(&amount, &tolerance, errors);
    }
}

pub(super) fn update(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Status {
        for name in ["currentReplicas", "desiredReplicas"] {
            Place::top(new, "status").at(name).nonnegative(errors);
        }
    } else if lacks_group(old) {
        // Stored before this was a rule, or by a server without it.
        whole(new, false, errors);
    } else {
        autoscaler(new, errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_scaled_has_a_group() {
        let of = |version: &str, kind: &str| {
            let target = json!({"apiVersion": version, "kind": kind, "name": "n"});
            let object = json!({"spec": {"maxReplicas": 1, "scaleTargetRef": target}});
            let mut errors = ErrorList::default();
            autoscaler(&object, &mut errors);
            errors.is_empty()
        };
        assert!(of("apps/v1", "Deployment"));
        assert!(of("v1", "ReplicationController"));
        assert!(!of("", "Deployment"));
        assert!(!of("v1", "Pod"));
    }

    #[test]
    fn a_metric_of_an_object_that_nobody_names_was_taken() {
        let of = |described: Value| {
            let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "n"});
            let metric = json!({"type": "Object", "object": {
                "describedObject": described, "metric": {"name": "m"}, "target": {"type": "Value", "value": "1"},
            }});
            let object = json!({"spec": {
                "maxReplicas": 1, "scaleTargetRef": target, "metrics": [metric],
            }});
            let mut errors = ErrorList::default();
            autoscaler(&object, &mut errors);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(of(json!({"kind": "Service", "name": "s"})), none);
        let missing = [
            "spec.metrics[0].object.describedObject.kind: Required value",
            "spec.metrics[0].object.describedObject.name: Required value",
        ];
        assert_eq!(of(Value::Null), missing);
    }
}
