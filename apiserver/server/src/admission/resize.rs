//! PodResize: a pod grows only as far as its node can hold it.

use mainstay_kinds::limits::resize;
use mainstay_machinery::gofmt::quote;
use mainstay_machinery::meta;
use mainstay_machinery::status::{Cause, GroupResource, StatusError};
use serde_json::Value;

use super::{Attempt, Lookup, Operation};

pub(super) async fn check(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    pod: &Value,
) -> Result<(), StatusError> {
    let is_resize = attempt.subresource == "resize"
        && attempt.operation == Operation::Update
        && attempt.resource.plural == "pods";
    let name = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    // The generation counts changes of what was asked for.
    let changed = attempt
        .old
        .is_some_and(|old| meta::generation(old) != meta::generation(pod));
    if !is_resize || name.is_empty() || !changed {
        return Ok(());
    }
    let forbidden = |why: &str| {
        let pods = GroupResource::new("", "pods");
        StatusError::forbidden(pods, &attempt.name, why)
    };
    let Some(node) = lookup.get("", "nodes", "", name).await? else {
        return Err(forbidden(&format!("node {} not found", quote(name))));
    };
    match resize::problem(pod, &node) {
        None => Ok(()),
        Some(problem) => Err(forbidden(&problem.message).with_cause(Cause {
            reason: problem.reason.to_owned(),
            ..Cause::default()
        })),
    }
}
