//! HorizontalPodAutoscalers of `autoscaling/v1` and `v2`: version 1 keeps in annotations what it has no fields for.

use serde_json::{Map, Value, json};

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
            keep(&mut annotations, METRICS, Value::Array(others));
        }
        keep(
            &mut annotations,
            BEHAVIOR,
            spec.remove("behavior").unwrap_or_default(),
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
            keep(&mut annotations, CURRENT, Value::Array(metrics));
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
            Some(Value::Array(metrics)) => metrics,
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
            spec.insert("behavior".to_owned(), behavior);
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("currentCPUUtilizationPercentage");
        for (field, name) in [("currentMetrics", CURRENT), ("conditions", CONDITIONS)] {
            if let Some(value) = taken.remove(name) {
                status.insert(field.to_owned(), value);
            }
        }
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
        assert!(object["metadata"]["annotations"][METRICS].is_string());
        convert(&mut object, "v2");
        assert_eq!(object, before);
    }
}
