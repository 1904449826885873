//! HorizontalPodAutoscalers of `autoscaling/v1` and `v2`: version 1 keeps in annotations what it has no fields for.

use serde_json::{Map, Value, json};

use super::metrics_v1::{Part, flat, nested};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// Converts to this version.
pub(super) fn convert(object: &mut Value, version: &str) {
    match version {
        "v1" => to_v1(object),
        _ => to_v2(object),
    }
}

fn to_v1(object: &mut Value) {
    let mut annotations = Map::new();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        if let Some(Value::Array(metrics)) = spec.remove("metrics") {
            let (cpu, others): (Vec<_>, Vec<_>) = metrics
                .into_iter()
                .partition(|metric| cpu_target(metric).is_some());
            if let Some(target) = cpu.first().and_then(cpu_target) {
                spec.insert("targetCPUUtilizationPercentage".to_owned(), target.clone());
            }
            let others = others.iter().map(|metric| flat(metric, Part::Spec));
            keep(&mut annotations, METRICS, others.collect());
        }
        keep(
            &mut annotations,
            BEHAVIOR,
            capitals(spec.remove("behavior").unwrap_or_default(), true),
        );
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        if let Some(Value::Array(metrics)) = status.remove("currentMetrics") {
            let current = |metric: &Value| {
                let resource = &metric["resource"];
                (resource["name"] == "cpu")
                    .then(|| resource["current"]["averageUtilization"].clone())
                    .filter(Value::is_number)
            };
            if let Some(percentage) = metrics.iter().find_map(current) {
                status.insert("currentCPUUtilizationPercentage".to_owned(), percentage);
            }
            let metrics = metrics.iter().map(|metric| flat(metric, Part::Status));
            keep(&mut annotations, CURRENT, metrics.collect());
        }
        keep(
            &mut annotations,
            CONDITIONS,
            status.remove("conditions").unwrap_or_default(),
        );
    }
    if annotations.is_empty() {
        return;
    }
    let metadata = &mut object["metadata"]["annotations"];
    match metadata.as_object_mut() {
        Some(own) => own.extend(annotations),
        None => *metadata = Value::Object(annotations),
    }
}

fn to_v2(object: &mut Value) {
    let mut taken = Map::new();
    if let Some(annotations) = object["metadata"]
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        for name in [METRICS, CURRENT, CONDITIONS, BEHAVIOR] {
            let text = annotations.remove(name);
            let value = text
                .as_ref()
                .and_then(Value::as_str)
                .and_then(|text| serde_json::from_str(text).ok());
            if let Some(value) = value {
                taken.insert(name.to_owned(), value);
            }
        }
        if annotations.is_empty()
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            metadata.remove("annotations");
        }
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let mut metrics = match taken.remove(METRICS) {
            Some(Value::Array(metrics)) => metrics
                .iter()
                .map(|metric| nested(metric, Part::Spec))
                .collect(),
            _ => Vec::new(),
        };
        if let Some(target) = spec.remove("targetCPUUtilizationPercentage") {
            metrics.insert(
                0,
                json!({
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": { "type": "Utilization", "averageUtilization": target },
                    },
                }),
            );
        }
        if !metrics.is_empty() {
            spec.insert("metrics".to_owned(), Value::Array(metrics));
        }
        if let Some(behavior) = taken.remove(BEHAVIOR) {
            spec.insert("behavior".to_owned(), capitals(behavior, false));
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        let percentage = status.remove("currentCPUUtilizationPercentage");
        let current = match (taken.remove(CURRENT), percentage) {
            (Some(Value::Array(metrics)), _) => metrics
                .iter()
                .map(|metric| nested(metric, Part::Status))
                .collect(),
            (_, Some(percentage)) => json!([{
                "type": "Resource",
                "resource": { "name": "cpu", "current": { "averageUtilization": percentage } },
            }]),
            _ => Value::Null,
        };
        let conditions = taken.remove(CONDITIONS).unwrap_or_default();
        for (field, value) in [("currentMetrics", current), ("conditions", conditions)] {
            if value.is_array() {
                status.insert(field.to_owned(), value);
            }
        }
    }
}

/// Upstream writes the behavior with its internal names, which begin with capitals, and reads either.
fn capitals(value: Value, upper: bool) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| {
                let mut letters = name.chars();
                let first = letters.next().map(|first| match upper {
                    true => first.to_ascii_uppercase(),
                    false => first.to_ascii_lowercase(),
                });
                let name = first.into_iter().chain(letters).collect::<String>();
                (name, capitals(value, upper))
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items
            .into_iter()
            .map(|item| capitals(item, upper))
            .collect(),
        other => other,
    }
}

fn cpu_target(metric: &Value) -> Option<&Value> {
    let resource = &metric["resource"];
    let target = &resource["target"]["averageUtilization"];
    (metric["type"] == "Resource" && resource["name"] == "cpu" && target.is_number())
        .then_some(target)
}

/// As the text of an annotation, unless there is nothing to keep.
fn keep(annotations: &mut Map<String, Value>, name: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    if !empty {
        annotations.insert(name.to_owned(), Value::String(value.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_and_back_loses_nothing() {
        let before = json!({
            "metadata": {"name": "a"},
            "spec": {
                "maxReplicas": 3,
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
                    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                ],
                "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}},
            },
            "status": {"conditions": [{"type": "AbleToScale", "status": "True"}]},
        });
        let mut object = before.clone();
        convert(&mut object, "v1");
        assert_eq!(object["spec"]["targetCPUUtilizationPercentage"], 80);
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(
            annotations[METRICS],
            r#"[{"resource":{"name":"memory","targetAverageValue":"1Gi"},"type":"Resource"}]"#
        );
        assert_eq!(
            annotations[BEHAVIOR],
            r#"{"ScaleUp":{"StabilizationWindowSeconds":0}}"#
        );
        convert(&mut object, "v2");
        assert_eq!(object, before);
    }

    #[test]
    fn what_clients_of_version_1_write_reaches_version_2() {
        let mut object = json!({
            "metadata": {"name": "a", "annotations": {METRICS: "no JSON", "own": "stays"}},
            "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50},
            "status": {"currentCPUUtilizationPercentage": 40},
        });
        convert(&mut object, "v2");
        let expected = json!({
            "metadata": {"name": "a", "annotations": {"own": "stays"}},
            "spec": {"maxReplicas": 3, "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]},
            "status": {"currentMetrics": [{"type": "Resource", "resource": {
                "name": "cpu", "current": {"averageUtilization": 40}}}]},
        });
        assert_eq!(object, expected);
    }
}
