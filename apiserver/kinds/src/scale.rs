//! The `scale` subresource of workloads: how many replicas there are and should be.

use crate::kind::KindRef;
use crate::selectors::workload_selector_text;
use crate::value::{at, int, set};
use mainstay_machinery::field::{ErrorList, Path};
use mainstay_machinery::validate::nonnegative;
use serde_json::{Value, json};

/// The `autoscaling/v1` Scale of a deployment, replica set, stateful set or replication controller.
#[must_use]
pub fn scale_of<'a>(kind: impl Into<KindRef<'a>>, object: &Value) -> Value {
    let kind = kind.into();
    let mut metadata = json!({});
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = at(object, &format!("metadata.{field}")) {
            set(&mut metadata, field, value.clone());
        }
    }
    let mut status = json!({"replicas": int(object, "status.replicas")});
    let selector = workload_selector_text(object, kind.kind);
    if !selector.is_empty() {
        set(&mut status, "selector", selector);
    }
    // Nothing is shown of none that are wanted, as upstream.
    let spec = match int(object, "spec.replicas") {
        0 => json!({}),
        replicas => json!({"replicas": replicas}),
    };
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": spec, "status": status,
    })
}

/// Takes the wanted number of replicas from a Scale. The preconditions in its metadata (uid,
/// resourceVersion) are the caller's to check, as for any update.
///
/// # Errors
/// When the number is negative; the object is then unchanged.
pub fn apply_scale(object: &mut Value, scale: &Value) -> Result<(), ErrorList> {
    let replicas = int(scale, "spec.replicas");
    let mut errors = ErrorList::new();
    nonnegative(replicas, &Path::new("spec").child("replicas"), &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    set(object, "spec.replicas", replicas);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_read_and_applied() {
        let mut object = json!({
            "metadata": {"name": "d", "uid": "u", "labels": {"a": "b"}},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "a"}}}, "status": {"replicas": 2},
        });
        let mut scale = scale_of(KindRef::new("apps", "v1", "Deployment"), &object);
        assert_eq!(scale["metadata"], json!({"name": "d", "uid": "u"}));
        assert_eq!(scale["status"], json!({"replicas": 2, "selector": "app=a"}));
        scale["spec"] = json!({});
        apply_scale(&mut object, &scale).unwrap();
        assert_eq!(object["spec"]["replicas"], 0);
        scale["spec"] = json!({"replicas": -1});
        let errors = apply_scale(&mut object, &scale).unwrap_err();
        assert_eq!(
            errors.to_string(),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        );
        let controller = json!({"spec": {"selector": {"b": "2", "a": "1"}}});
        let scale = scale_of(KindRef::new("", "v1", "ReplicationController"), &controller);
        assert_eq!(scale["status"]["selector"], "a=1,b=2");
    }
}
