//! Roles and bindings: the default ones are kept as they should be, and all of them reach the authorizer.

use std::sync::Arc;

use mainstay_auth::rbac::{self, Event, RbacAuthorizer, Reconciled};
use mainstay_kinds::Part;
use mainstay_machinery::meta;
use mainstay_machinery::status::StatusError;
use serde_json::Value;

use super::follow::follow;
use super::write::{Rules, change, ensure, resource};
use crate::registry::Registry;

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
    let resource = resource(GROUP, plural)?;
    let name = meta::name(expected);
    let Some(existing) = registry.find(resource, namespace, name).await? else {
        return ensure(registry, resource, expected.clone()).await;
    };
    let compared = match plural.ends_with("bindings") {
        true => rbac::reconcile_binding(Some(&existing), expected),
        false => rbac::reconcile_role(Some(&existing), expected),
    };
    let Reconciled::Update(wanted) = compared else {
        return Ok(());
    };
    let replace = |_: Option<&Value>| Ok(wanted.clone());
    let place = (namespace, name);
    change(registry, resource, place, Part::Main, Rules::Once, &replace).await
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
