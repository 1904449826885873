//! Roles and bindings: the default ones are kept as they should be, and all of them reach the authorizer.

use std::sync::Arc;

use mainstay_auth::UserInfo;
use mainstay_auth::rbac::{self, Event, RbacAuthorizer, Reconciled};
use mainstay_kinds::Part;
use mainstay_machinery::meta;
use mainstay_machinery::status::{Reason, StatusError};
use mainstay_schema::Resource;
use serde_json::Value;

use super::bootstrap::ensure;
use super::follow::follow;
use crate::registry::{Registry, Update};

pub(super) const GROUP: &str = "rbac.authorization.k8s.io";
/// Kinds whose objects the authorizer knows.
const KINDS: [&str; 4] = [
    "clusterroles",
    "roles",
    "clusterrolebindings",
    "rolebindings",
];

/// Creates and completes the default roles and bindings.
pub(crate) async fn reconcile_policy(registry: &Registry) -> Result<(), StatusError> {
    let policy = rbac::bootstrap::policy(&[]);
    for (plural, namespaced, objects) in [
        ("clusterroles", false, &policy.cluster_roles),
        ("clusterrolebindings", false, &policy.cluster_role_bindings),
        ("roles", true, &policy.roles),
        ("rolebindings", true, &policy.role_bindings),
    ] {
        for object in objects {
            let namespace = match namespaced {
                true => meta::namespace(object),
                false => "",
            };
            reconcile(registry, plural, namespace, object).await?;
        }
    }
    Ok(())
}

async fn reconcile(
    registry: &Registry,
    plural: &str,
    namespace: &str,
    expected: &Value,
) -> Result<(), StatusError> {
    let resource = resource(plural)?;
    let name = meta::name(expected);
    let Some(existing) = registry.find(resource, namespace, name).await? else {
        return ensure(registry, GROUP, plural, namespace, expected.clone()).await;
    };
    let compared = match plural.ends_with("bindings") {
        true => rbac::reconcile_binding(Some(&existing), expected),
        false => rbac::reconcile_role(Some(&existing), expected),
    };
    let Reconciled::Update(wanted) = compared else {
        return Ok(());
    };
    let user = UserInfo::apiserver();
    let update = Update {
        resource,
        namespace,
        name,
        part: Part::Main,
        subresource: "",
        user: &user,
        dry_run: false,
        repeatable: false,
        direct: false,
        may_create: false,
    };
    match registry.update(&update, &|_| Ok(wanted.clone())).await {
        // Another server does the same.
        Err(e) if !matches!(e.reason, Reason::Conflict | Reason::NotFound) => Err(e),
        _ => Ok(()),
    }
}

/// Keeps the authorizer's index equal to the stored roles and bindings, for as long as the registry lives.
pub(crate) fn feed_authorizer(registry: &Arc<Registry>, authorizer: &Arc<RbacAuthorizer>) {
    for plural in KINDS {
        let Some(resource) = mainstay_schema::resource(GROUP, "v1", plural) else {
            continue;
        };
        let authorizer = Arc::clone(authorizer);
        follow(registry, resource, None, move |object, gone| {
            if let Some(event) = Event::from_object(plural, object, gone) {
                authorizer.apply(event);
            }
        });
    }
}

pub(super) fn resource(plural: &str) -> Result<&'static Resource, StatusError> {
    mainstay_schema::resource(GROUP, "v1", plural)
        .ok_or_else(|| StatusError::internal(format_args!("the table has no {plural}")))
}
