//! Aggregated cluster roles: their rules are those of the roles that their selectors choose, whoever changes those.
//!
//! Upstream leaves this to kube-controller-manager. Here the server does it, because it may run alone, and a role such
//! as `admin` would be empty then. The controller of the same purpose waits for it and finds nothing to do.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mainstay_apistore::Scope;
use mainstay_auth::rbac::aggregate_rules;
use mainstay_kinds::Part;
use mainstay_machinery::meta;
use mainstay_machinery::status::StatusError;
use mainstay_schema::Resource;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::follow::follow;
use super::policy::GROUP;
use super::write::{Rules, change, resource};
use crate::registry::Registry;

/// Time in which changes are gathered: roles often come many at a time.
const GATHER: Duration = Duration::from_millis(50);
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Keeps all aggregated cluster roles true for as long as the registry lives. Any number of servers do this side by
/// side: each writes only over the role it has looked at, and nothing when the role is as it should be.
pub(crate) fn aggregate_roles(registry: &Arc<Registry>) {
    let Some(resource) = mainstay_schema::resource(GROUP, "v1", "clusterroles") else {
        return;
    };
    let changed = Arc::new(Notify::new());
    let changes = Arc::clone(&changed);
    follow(registry, resource, None, move |_, _| changes.notify_one());
    tokio::spawn(run(Arc::downgrade(registry), changed));
}

async fn run(registry: Weak<Registry>, changed: Arc<Notify>) {
    let Some(mut ending) = registry.upgrade().map(|registry| registry.ending.clone()) else {
        return;
    };
    loop {
        tokio::select! {
            () = changed.notified() => sleep(GATHER).await,
            _ = ending.changed() => return,
        }
        let Some(registry) = registry.upgrade() else {
            return;
        };
        if let Err(e) = settle(&registry).await {
            tracing::warn!("aggregated cluster roles are not up to date: {e}");
            sleep(RETRY_PAUSE).await;
            changed.notify_one();
        }
    }
}

/// Writes the roles that are not as they should be. A role may be chosen by another: that one follows when this change
/// is seen.
async fn settle(registry: &Registry) -> Result<(), StatusError> {
    let resource = resource(GROUP, "clusterroles")?;
    let all = registry.known(resource, &Scope::All);
    let references: Vec<&Value> = all.iter().collect();
    for role in &all {
        let Some(rules) = aggregate_rules(role, &references) else {
            continue;
        };
        let own = role["rules"].as_array().map_or(&[][..], Vec::as_slice);
        if own != rules {
            write(registry, resource, role, rules).await?;
        }
    }
    Ok(())
}

/// Writes the rules over exactly the role that was looked at: whoever was faster knew of changes that are still to come
/// here, and with them this role is looked at again.
async fn write(
    registry: &Registry,
    resource: &'static Resource,
    role: &Value,
    rules: Vec<Value>,
) -> Result<(), StatusError> {
    let mut wanted = role.clone();
    wanted["rules"] = Value::Array(rules);
    let replace = |_: Option<&Value>| Ok(wanted.clone());
    let place = ("", meta::name(role));
    change(
        registry,
        resource,
        place,
        Part::Main,
        Rules::Direct,
        &replace,
    )
    .await
}
