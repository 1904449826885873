//! The controller's loop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::PostParams;
use mainstay_auth::rbac::aggregate_rules;
use mainstay_client::{Informer, Key, Queue, unless_gone};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::context::Context;
use crate::limits::CLUSTER_ROLE_WORKERS;

/// Keeps the rules of aggregated cluster roles.
pub async fn cluster_role_aggregation(cx: Context) {
    let controller = Arc::new(Controller {
        roles: cx.informers.of(),
        queue: cx.queue("ClusterRoleAggregator"),
        wrong_since: Mutex::default(),
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    roles: Arc<Informer<ClusterRole>>,
    queue: Queue<Key>,
    /// Roles whose rules are not as they should be.
    wrong_since: Mutex<HashMap<Key, Instant>>,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        let this = Arc::clone(&self);
        self.roles.on(move |_| this.wake());
        self.roles.synced().await;
        self.wake();
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, CLUSTER_ROLE_WORKERS, work).await;
    }

    /// Any role may be chosen by any other, and there are few that choose.
    fn wake(&self) {
        if !self.roles.is_synced() {
            return;
        }
        for role in self.roles.cache().all() {
            if role.aggregation_rule.is_some() {
                self.queue.add(Key::of(role.as_ref()));
            }
        }
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let role = self.roles.cache().get(key);
        let wrong =
            role.and_then(|role| Some((aggregated(&role, &self.roles.cache().all())?, role)));
        let Some((wanted, role)) = wrong else {
            self.wrong_since.lock().remove(key);
            return Ok(None);
        };
        let since = *self
            .wrong_since
            .lock()
            .entry(key.clone())
            .or_insert_with(Instant::now);
        let rest = self
            .cx
            .options
            .aggregation_grace
            .saturating_sub(since.elapsed());
        if !rest.is_zero() {
            return Ok(Some(rest));
        }
        tracing::info!("{key} is aggregated here: the apiserver has not done it");
        let api: Api<ClusterRole> = Api::all(self.cx.client.clone());
        let mut whole = ClusterRole::clone(&role);
        whole.rules = serde_json::from_value(Value::Array(wanted)).unwrap_or_default();
        unless_gone(api.replace(&key.name, &PostParams::default(), &whole).await)?;
        Ok(None)
    }
}

/// The rules that a role should have, by the same function by which the apiserver goes: were their results different,
/// both would write for ever. `None` if it has them, or if it does not aggregate.
fn aggregated(role: &ClusterRole, all: &[Arc<ClusterRole>]) -> Option<Vec<Value>> {
    role.aggregation_rule.as_ref()?;
    let all: Vec<Value> = all.iter().map(|role| json!(role.as_ref())).collect();
    let rules = aggregate_rules(&json!(role), &all.iter().collect::<Vec<_>>())?;
    let own = json!(role.rules.as_deref().unwrap_or_default());
    (own.as_array() != Some(&rules)).then_some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_wrong_until_it_has_what_it_chooses_and_others_never_are() {
        let role = |name: &str, rules: Value, rule: Value| -> Arc<ClusterRole> {
            let role = json!({
                "metadata": {"name": name, "labels": {"to": name}}, "rules": rules, "aggregationRule": rule,
            });
            Arc::new(serde_json::from_value(role).expect("a role"))
        };
        let get = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
        let chooses = json!({"clusterRoleSelectors": [{"matchLabels": {"to": "a"}}]});
        let source = role("a", get.clone(), Value::Null);
        for (rules, wanted) in [
            (json!([]), get.as_array()),
            (Value::Null, get.as_array()),
            (get.clone(), None),
        ] {
            let whole = role("b", rules.clone(), chooses.clone());
            let found = aggregated(&whole, &[Arc::clone(&source), Arc::clone(&whole)]);
            assert_eq!(found.as_ref(), wanted, "{rules}");
        }
        assert_eq!(aggregated(&source, &[Arc::clone(&source)]), None);
    }
}
