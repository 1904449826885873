//! Metrics of autoscalers as version 1 keeps them in annotations: flat, with names of their own.

use serde_json::{Map, Value, json};

/// What stands where: the field within `metrics[].SOURCE` of version 1, and its path in version 2 with `@` for
/// `target` in the spec and `current` in the status.
type Pairs = &'static [(&'static str, &'static str)];

/// Sources, with the fields of targets and of current values.
const SOURCES: [(&str, Pairs, Pairs); 5] = [
    (
        "resource",
        &[
            ("name", "name"),
            ("targetAverageUtilization", "@.averageUtilization"),
            ("targetAverageValue", "@.averageValue"),
        ],
        &[
            ("name", "name"),
            ("currentAverageUtilization", "@.averageUtilization"),
            ("currentAverageValue", "@.averageValue"),
        ],
    ),
    (
        "containerResource",
        &[
            ("name", "name"),
            ("container", "container"),
            ("targetAverageUtilization", "@.averageUtilization"),
            ("targetAverageValue", "@.averageValue"),
        ],
        &[
            ("name", "name"),
            ("container", "container"),
            ("currentAverageUtilization", "@.averageUtilization"),
            ("currentAverageValue", "@.averageValue"),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", "metric.name"),
            ("selector", "metric.selector"),
            ("targetAverageValue", "@.averageValue"),
        ],
        &[
            ("metricName", "metric.name"),
            ("selector", "metric.selector"),
            ("currentAverageValue", "@.averageValue"),
        ],
    ),
    (
        "object",
        &[
            ("target", "describedObject"),
            ("metricName", "metric.name"),
            ("selector", "metric.selector"),
            ("targetValue", "@.value"),
            ("averageValue", "@.averageValue"),
        ],
        &[
            ("target", "describedObject"),
            ("metricName", "metric.name"),
            ("selector", "metric.selector"),
            ("currentValue", "@.value"),
            ("averageValue", "@.averageValue"),
        ],
    ),
    (
        "external",
        &[
            ("metricName", "metric.name"),
            ("metricSelector", "metric.selector"),
            ("targetValue", "@.value"),
            ("targetAverageValue", "@.averageValue"),
        ],
        &[
            ("metricName", "metric.name"),
            ("metricSelector", "metric.selector"),
            ("currentValue", "@.value"),
            ("currentAverageValue", "@.averageValue"),
        ],
    ),
];

/// Where values stand in version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Spec,
    Status,
}

impl Part {
    fn holder(self) -> &'static str {
        match self {
            Part::Spec => "target",
            Part::Status => "current",
        }
    }

    fn pairs(self, source: &str) -> Pairs {
        let found = SOURCES.iter().find(|(name, ..)| *name == source);
        match (found, self) {
            (Some((_, spec, _)), Part::Spec) => spec,
            (Some((_, _, status)), Part::Status) => status,
            (None, _) => &[],
        }
    }
}

/// A metric of version 2 in the form of version 1.
pub(super) fn flat(metric: &Value, part: Part) -> Value {
    let mut out = json!({ "type": metric["type"] });
    for (source, ..) in SOURCES.iter().filter(|(name, ..)| !metric[*name].is_null()) {
        let mut fields = Map::new();
        for (name, path) in part.pairs(source) {
            let place = path.replace('@', part.holder()).replace('.', "/");
            if let Some(value) = metric[*source].pointer(&format!("/{place}")) {
                fields.insert((*name).to_owned(), value.clone());
            }
        }
        out[*source] = Value::Object(fields);
    }
    out
}

/// The other way. Which kind of target it is follows from the values that are set.
pub(super) fn nested(metric: &Value, part: Part) -> Value {
    let mut out = json!({ "type": metric["type"] });
    for (source, ..) in SOURCES
        .iter()
        .filter(|(name, ..)| metric[*name].is_object())
    {
        let mut fields = json!({});
        for (name, path) in part.pairs(source) {
            let value = &metric[*source][*name];
            if value.is_null() {
                continue;
            }
            let path = path.replace('@', part.holder());
            match path.split_once('.') {
                Some((outer, inner)) => fields[outer][inner] = value.clone(),
                None => fields[path] = value.clone(),
            }
        }
        if part == Part::Spec {
            let target = &mut fields["target"];
            // An average beside a value is what counts: version 1 writes a value of 0 then.
            let kind = match (&target["averageUtilization"], &target["averageValue"]) {
                (Value::Number(_), _) => "Utilization",
                (_, Value::Null) => "Value",
                _ => "AverageValue",
            };
            if kind == "AverageValue"
                && let Some(target) = target.as_object_mut()
            {
                target.remove("value");
            }
            let set = target.as_object().into_iter().flatten();
            let set = set.filter(|(_, value)| !value.is_null());
            let set: Map<_, _> = set.map(|(k, v)| (k.clone(), v.clone())).collect();
            *target = Value::Object(set);
            target["type"] = kind.into();
        }
        out[*source] = fields;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_its_form_in_version_1_and_comes_back() {
        let described = json!({"kind": "Service", "name": "s"});
        let cases = [
            (
                json!({"type": "Resource", "resource": {"name": "memory",
                    "target": {"type": "AverageValue", "averageValue": "1Gi"}}}),
                json!({"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}}),
            ),
            (
                json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
                    "target": {"type": "Utilization", "averageUtilization": 60}}}),
                json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
                    "targetAverageUtilization": 60}}),
            ),
            (
                json!({"type": "Pods", "pods": {"metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}},
                    "target": {"type": "AverageValue", "averageValue": "5"}}}),
                json!({"type": "Pods", "pods": {"metricName": "m", "selector": {"matchLabels": {"a": "b"}},
                    "targetAverageValue": "5"}}),
            ),
            (
                json!({"type": "Object", "object": {"describedObject": described, "metric": {"name": "m"},
                    "target": {"type": "Value", "value": "5"}}}),
                json!({"type": "Object", "object": {"target": described, "metricName": "m", "targetValue": "5"}}),
            ),
            (
                json!({"type": "External", "external": {"metric": {"name": "m"},
                    "target": {"type": "AverageValue", "averageValue": "5"}}}),
                json!({"type": "External", "external": {"metricName": "m", "targetAverageValue": "5"}}),
            ),
        ];
        for (two, one) in cases {
            assert_eq!(flat(&two, Part::Spec), one);
            assert_eq!(nested(&one, Part::Spec), two);
        }
        let two = json!({"type": "Resource", "resource": {"name": "cpu",
            "current": {"averageUtilization": 7, "averageValue": "3m"}}});
        let one = json!({"type": "Resource", "resource": {"name": "cpu",
            "currentAverageUtilization": 7, "currentAverageValue": "3m"}});
        assert_eq!(flat(&two, Part::Status), one);
        assert_eq!(nested(&one, Part::Status), two);
    }

    #[test]
    fn an_average_of_an_object_wins_over_the_zero_beside_it() {
        let one = json!({"type": "Object", "object": {"target": {}, "metricName": "m",
            "targetValue": "0", "averageValue": "5"}});
        let target = &nested(&one, Part::Spec)["object"]["target"];
        assert_eq!(
            *target,
            json!({"type": "AverageValue", "averageValue": "5"})
        );
    }
}
