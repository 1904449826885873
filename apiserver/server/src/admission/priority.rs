//! Priority: the number behind a pod's priority class, and one default class at most.

use std::sync::Arc;

use mainstay_machinery::meta;
use mainstay_machinery::status::{GroupResource, StatusError};
use serde_json::Value;

use super::{Attempt, Lookup, Operation};
use crate::registry::of_resource;

const GROUP: &str = "scheduling.k8s.io";
const CLASSES: &str = "priorityclasses";

pub(super) async fn admit(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    pod: &mut Value,
) -> Result<(), StatusError> {
    let name = pod["spec"]["priorityClassName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let forbidden = |why: &str| {
        let pods = GroupResource::new("", "pods");
        Err(StatusError::forbidden(pods, &attempt.name, why))
    };
    let class = match name.as_str() {
        "" => default_class(&lookup.list(GROUP, CLASSES, "")?),
        name => match lookup.get(GROUP, CLASSES, "", name).await? {
            Some(class) => Some(class),
            None => {
                return forbidden(&format!("no PriorityClass with name {name} was found"));
            }
        },
    };
    let value = class
        .as_ref()
        .map_or(0, |class| class["value"].as_i64().unwrap_or(0));
    let spec = &mut pod["spec"];
    if let Some(own) = spec["priority"].as_i64()
        && own != value
    {
        return forbidden(&format!(
            "the integer value of priority ({own}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        ));
    }
    spec["priority"] = value.into();
    if let Some(class) = &class {
        spec["priorityClassName"] = meta::name(class).into();
    }
    let policy = class
        .as_ref()
        .and_then(|class| class["preemptionPolicy"].as_str());
    let policy = policy.unwrap_or("PreemptLowerPriority");
    match spec["preemptionPolicy"].as_str() {
        Some(own) if own != policy => forbidden(&format!(
            "the string value of PreemptionPolicy ({own}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        )),
        _ => {
            spec["preemptionPolicy"] = policy.into();
            Ok(())
        }
    }
}

/// Of several, the one with the lowest value, as upstream.
fn default_class(classes: &[Arc<Value>]) -> Option<Arc<Value>> {
    let defaults = classes
        .iter()
        .filter(|class| class["globalDefault"] == true);
    defaults
        .min_by_key(|class| class["value"].as_i64())
        .cloned()
}

/// Refuses a second default class.
pub(super) async fn check(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    class: &Value,
) -> Result<(), StatusError> {
    if !attempt.is(GROUP, CLASSES) || class["globalDefault"] != true {
        return Ok(());
    }
    if attempt.operation == Operation::Update
        && attempt.old.is_some_and(|old| old["globalDefault"] == true)
    {
        return Ok(());
    }
    match default_class(&lookup.list(GROUP, CLASSES, "")?) {
        Some(other) if meta::name(&other) != attempt.name => Err(StatusError::forbidden(
            of_resource(attempt.resource),
            &attempt.name,
            format_args!(
                "PriorityClass {} is already marked as default. Only one default can exist",
                meta::name(&other)
            ),
        )),
        _ => Ok(()),
    }
}
