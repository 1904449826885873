//! NamespaceLifecycle: nothing is created in namespaces that do not exist or are on their way, and a few namespaces
//! stay.

use mainstay_machinery::meta;
use mainstay_machinery::status::{Cause, GroupResource, StatusError, cause_type};

use super::{Attempt, Lookup, Operation};
use crate::registry::of_resource;

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub(super) async fn check(lookup: &Lookup, attempt: &Attempt<'_>) -> Result<(), StatusError> {
    if attempt.operation != Operation::Create
        || attempt.namespace.is_empty()
        || !attempt.resource.namespaced
        // Asking whether something would be allowed needs no namespace.
        || attempt.is("authorization.k8s.io", "localsubjectaccessreviews")
    {
        return Ok(());
    }
    let found = lookup.get("", "namespaces", "", attempt.namespace).await?;
    let Some(namespace) = found else {
        let resource = GroupResource::new("", "namespaces");
        return Err(StatusError::not_found(resource, attempt.namespace));
    };
    if meta::deletion_timestamp(&namespace).is_none()
        && namespace["status"]["phase"] != "Terminating"
    {
        return Ok(());
    }
    let why = format!(
        "unable to create new content in namespace {} because it is being terminated",
        attempt.namespace
    );
    let message = format!("namespace {} is being terminated", attempt.namespace);
    let error = StatusError::forbidden(of_resource(attempt.resource), &attempt.name, &why);
    Err(error.with_cause(Cause {
        reason: cause_type::NAMESPACE_TERMINATING.to_owned(),
        message,
        field: "metadata.namespace".to_owned(),
    }))
}

/// Priority classes that are there whatever happens.
const SYSTEM_CLASSES: [&str; 2] = ["system-cluster-critical", "system-node-critical"];

pub(super) fn check_delete(attempt: &Attempt<'_>) -> Result<(), StatusError> {
    if attempt.is("scheduling.k8s.io", "priorityclasses")
        && SYSTEM_CLASSES.contains(&attempt.name.as_str())
    {
        let why = "this is a system priority class and cannot be deleted";
        return Err(StatusError::forbidden(
            of_resource(attempt.resource),
            &attempt.name,
            why,
        ));
    }
    if attempt.is("", "namespaces") && IMMORTAL.contains(&attempt.name.as_str()) {
        let why = "this namespace may not be deleted";
        return Err(StatusError::forbidden(
            of_resource(attempt.resource),
            &attempt.name,
            why,
        ));
    }
    Ok(())
}
