//! Roles and bindings: the default ones are kept as they should be, and all of them reach the authorizer.

use std::sync::Arc;
use std::time::Duration;

use mainstay_apistore::{CacheError, EventKind, Scope, Start, Step, WatchRequest};
use mainstay_auth::UserInfo;
use mainstay_auth::rbac::{self, Event, RbacAuthorizer, Reconciled};
use mainstay_kinds::Part;
use mainstay_machinery::meta;
use mainstay_machinery::status::{Reason, StatusError};
use mainstay_schema::Resource;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::bootstrap::ensure;
use crate::registry::{Registry, Update};

const GROUP: &str = "rbac.authorization.k8s.io";
/// Kinds whose objects the authorizer knows.
const KINDS: [&str; 4] = [
    "clusterroles",
    "roles",
    "clusterrolebindings",
    "rolebindings",
];
/// Pause before a watch that ended is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

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
        let (registry, authorizer) = (Arc::downgrade(registry), Arc::clone(authorizer));
        tokio::spawn(async move {
            while let Some(registry) = registry.upgrade() {
                let fed = feed(&registry, &authorizer, plural).await;
                drop(registry);
                if let Err(e) = fed {
                    tracing::debug!("{plural} are listed anew: {e}");
                }
                sleep(RESTART_PAUSE).await;
            }
        });
    }
}

/// Applies all objects of a kind and then their changes. Objects that went while nobody watched are taken out by
/// comparison.
async fn feed(
    registry: &Registry,
    authorizer: &RbacAuthorizer,
    plural: &'static str,
) -> Result<(), CacheError> {
    let Ok(resource) = resource(plural) else {
        return Err(CacheError::Closed);
    };
    let request = WatchRequest::new(Scope::All, Start::Initial);
    let until = Instant::now() + Duration::from_secs(3600);
    let mut watcher = registry.cache(resource).watch(request, until).await?;
    let mut ending = registry.ending.clone();
    loop {
        let step = tokio::select! {
            step = watcher.next() => step?,
            _ = ending.changed() => return Err(CacheError::Closed),
        };
        let Step::Events(events) = step else {
            continue;
        };
        for delivery in events {
            let Some(object) = registry.parse(resource, delivery.object()) else {
                continue;
            };
            let gone = delivery.kind() == EventKind::Deleted;
            if let Some(event) = Event::from_object(plural, &object, gone) {
                authorizer.apply(event);
            }
        }
    }
}

fn resource(plural: &str) -> Result<&'static Resource, StatusError> {
    mainstay_schema::resource(GROUP, "v1", plural)
        .ok_or_else(|| StatusError::internal(format_args!("the table has no {plural}")))
}
