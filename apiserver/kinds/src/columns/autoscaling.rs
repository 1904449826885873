//! The cells of autoscalers.

use super::cells::{listed, plain};
use crate::value::{at, list, number, text};
use serde_json::Value;

const METRICS_MAX: usize = 2;
const UNKNOWN: &str = "<unknown>";

pub(super) fn reference(autoscaler: &Value, _: i64) -> Value {
    let target = "spec.scaleTargetRef";
    let (kind, name) = (format!("{target}.kind"), format!("{target}.name"));
    format!("{}/{}", text(autoscaler, &kind), text(autoscaler, &name)).into()
}

pub(super) fn min_pods(autoscaler: &Value, _: i64) -> Value {
    number(autoscaler, "spec.minReplicas").map_or("<unset>".into(), |min| min.to_string().into())
}

pub(super) fn targets(autoscaler: &Value, _: i64) -> Value {
    if text(autoscaler, "apiVersion") == "autoscaling/v1" {
        return first_version_targets(autoscaler);
    }
    let current = list(autoscaler, "status.currentMetrics");
    let shown = |(index, metric): (usize, &Value)| metric_text(metric, current.get(index));
    let specs = list(autoscaler, "spec.metrics");
    let metrics: Vec<String> = specs.iter().enumerate().map(shown).collect();
    listed(&metrics, METRICS_MAX, ", ").into()
}

/// `autoscaling/v1` knows one metric, the share of the requested cpu that is used.
fn first_version_targets(autoscaler: &Value) -> Value {
    let percent = |path| number(autoscaler, path).map(|percent| format!("{percent}%"));
    let current = percent("status.currentCPUUtilizationPercentage");
    match percent("spec.targetCPUUtilizationPercentage") {
        Some(target) => format!(
            "cpu: {}/{target}",
            current.unwrap_or_else(|| UNKNOWN.to_owned())
        )
        .into(),
        None => super::cells::NONE.into(),
    }
}

fn metric_text(metric: &Value, status: Option<&Value>) -> String {
    let (field, named) = match text(metric, "type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let target = |name: &str| at(metric, &format!("{field}.target.{name}"));
    let current = |name: &str| at(status?, &format!("{field}.current.{name}"));
    let average = target("averageValue");
    if named {
        let name = text(metric, &format!("{field}.name"));
        let percent = |value: Option<&Value>, none: &str| match value {
            Some(value) => format!("{value}%"),
            None => none.to_owned(),
        };
        return match average {
            Some(_) => format!(
                "{name}: {}/{}",
                plain(current("averageValue"), UNKNOWN),
                plain(average, "")
            ),
            None => {
                let now = percent(current("averageUtilization"), UNKNOWN);
                format!(
                    "{name}: {now}/{}",
                    percent(target("averageUtilization"), "<auto>")
                )
            }
        };
    }
    match average {
        Some(_) => {
            let mark = if field == "pods" { "" } else { " (avg)" };
            format!(
                "{}/{}{mark}",
                plain(current("averageValue"), UNKNOWN),
                plain(average, "")
            )
        }
        None => format!(
            "{}/{}",
            plain(current("value"), UNKNOWN),
            plain(target("value"), "")
        ),
    }
}
