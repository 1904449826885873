//! Scopes: which objects a quota is for.

use super::evaluator::{Evaluator, has_deadline, measured_names};
use crate::resources::qos_class;
use crate::value::{at, has, list, text};
use mainstay_machinery::selector::{Operator, Requirement};
use mainstay_schema::Resource;
use serde_json::Value;

const PRIORITY_CLASS: [&str; 1] = ["spec.priorityClassName"];
/// The classes of volume attributes a claim is to have, has, or is on the way to.
const ATTRIBUTES_CLASSES: [&str; 3] = [
    "spec.volumeAttributesClassName",
    "status.currentVolumeAttributesClassName",
    "status.modifyVolumeStatus.targetVolumeAttributesClassName",
];

/// One scope and the condition on what it looks at.
pub(super) struct Scope<'a> {
    pub(super) name: &'a str,
    operator: &'a str,
    values: Vec<String>,
}

/// All scopes of a quota: the plain ones and those of the selector. An object must be in each.
pub(super) fn scopes_of(quota: &Value) -> Vec<Scope<'_>> {
    let plain = list(quota, "spec.scopes").iter().map(|scope| Scope {
        name: scope.as_str().unwrap_or_default(),
        operator: "Exists",
        values: Vec::new(),
    });
    let selected = list(quota, "spec.scopeSelector.matchExpressions").iter();
    let selected = selected.map(|expression| Scope {
        name: text(expression, "scopeName"),
        operator: text(expression, "operator"),
        values: texts(expression, "values"),
    });
    plain.chain(selected).collect()
}

fn texts(value: &Value, path: &str) -> Vec<String> {
    let texts = list(value, path).iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// Whether a quota is for an object: it limits something the object is measured by, and the object is in all
/// its scopes. Only pods and volume claims are in any scope.
///
/// # Errors
/// The text upstream has for a scope selector that makes no sense, which validation lets nobody store.
pub fn matches(quota: &Value, resource: &Resource, object: &Value) -> Result<bool, String> {
    if measured_names(quota, "status.hard", resource).is_empty() {
        return Ok(false);
    }
    in_all_scopes(quota, resource, object)
}

pub(super) fn in_all_scopes(
    quota: &Value,
    resource: &Resource,
    object: &Value,
) -> Result<bool, String> {
    let mut all = true;
    for scope in scopes_of(quota) {
        all &= scope.holds(resource, object)?;
    }
    Ok(all)
}

impl Scope<'_> {
    pub(super) fn holds(&self, resource: &Resource, object: &Value) -> Result<bool, String> {
        match Evaluator::of(resource) {
            Evaluator::Pods => self.holds_for_pod(object),
            Evaluator::VolumeClaims if self.name == "VolumeAttributesClass" => {
                self.any_matches(&named(object, &ATTRIBUTES_CLASSES))
            }
            _ => Ok(false),
        }
    }

    fn holds_for_pod(&self, pod: &Value) -> Result<bool, String> {
        Ok(match self.name {
            "Terminating" => has_deadline(pod),
            "NotTerminating" => !has_deadline(pod),
            "BestEffort" => is_best_effort(pod),
            "NotBestEffort" => !is_best_effort(pod),
            "PriorityClass" => return self.any_matches(&named(pod, &PRIORITY_CLASS)),
            "CrossNamespacePodAffinity" => looks_into_namespaces(pod),
            _ => false,
        })
    }

    /// Whether the condition holds for one of the names, or for there being none.
    fn any_matches(&self, names: &[&str]) -> Result<bool, String> {
        let operator = match self.operator {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => return Ok(!names.is_empty()),
            "DoesNotExist" => Operator::DoesNotExist,
            other => {
                return Err(format!(
                    "failed to parse and convert selector: {other:?} is not a valid scope selector operator"
                ));
            }
        };
        let condition = Requirement::new(self.name, operator, self.values.clone())
            .map_err(|errors| format!("failed to parse and convert selector: {errors}"))?;
        if names.is_empty() {
            return Ok(condition.matches(None));
        }
        Ok(names.iter().any(|name| condition.matches(Some(name))))
    }
}

impl std::fmt::Display for Scope<'_> {
    /// As Go prints the struct.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values = self.values.join(" ");
        write!(f, "{{{} {} [{values}]}}", self.name, self.operator)
    }
}

fn is_best_effort(pod: &Value) -> bool {
    let known = text(pod, "status.qosClass");
    if !known.is_empty() {
        return known == "BestEffort";
    }
    at(pod, "spec").is_none_or(|spec| qos_class(spec) == "BestEffort")
}

/// Whether a term of the pod's affinity or anti-affinity names other namespaces.
fn looks_into_namespaces(pod: &Value) -> bool {
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let when = format!("spec.affinity.{kind}");
        let required = format!("{when}.requiredDuringSchedulingIgnoredDuringExecution");
        let preferred = format!("{when}.preferredDuringSchedulingIgnoredDuringExecution");
        let weighted = list(pod, &preferred).iter();
        let weighted = weighted.filter_map(|term| at(term, "podAffinityTerm"));
        list(pod, &required)
            .iter()
            .chain(weighted)
            .any(|term| !list(term, "namespaces").is_empty() || has(term, "namespaceSelector"))
    })
}

/// The names at these places of an object.
fn named<'a>(object: &'a Value, places: &[&str]) -> Vec<&'a str> {
    let names = places.iter().map(|place| text(object, place));
    names.filter(|name| !name.is_empty()).collect()
}
