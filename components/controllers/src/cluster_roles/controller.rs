//! The controller's loop.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::Api;
use kube::api::PostParams;
use kube::core::SelectorExt as _;
use mainstay_client::{Informer, Key, Queue, selector};

use crate::context::Context;
use crate::limits::CLUSTER_ROLE_WORKERS;

/// Keeps the rules of aggregated cluster roles.
pub async fn cluster_role_aggregation(cx: Context) {
    let controller = Arc::new(Controller {
        roles: cx.informers.of(),
        queue: cx.queue("ClusterRoleAggregator"),
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    roles: Arc<Informer<ClusterRole>>,
    queue: Queue<Key>,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        let this = Arc::clone(&self);
        self.roles.on(move |_| this.wake());
        self.roles.synced().await;
        self.wake();
        let this = Arc::clone(&self);
        let work = move |key: Key| {
            let this = Arc::clone(&this);
            async move { this.sync(&key).await }
        };
        self.queue.work(CLUSTER_ROLE_WORKERS, work).await;
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
        let Some(role) = self.roles.cache().get(key) else {
            return Ok(None);
        };
        let Some(rules) = aggregated(&role, &self.roles.cache().all()) else {
            return Ok(None);
        };
        if role.rules.as_deref().unwrap_or_default() == rules {
            return Ok(None);
        }
        let mut whole = ClusterRole::clone(&role);
        whole.rules = Some(rules);
        let api: Api<ClusterRole> = Api::all(self.cx.client.clone());
        match api.replace(&key.name, &PostParams::default(), &whole).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
            Ok(_) => Ok(None),
        }
    }
}

/// The rules of all other roles that the selectors of `role` choose, selector by selector and by name, each once.
/// `None` if it does not aggregate, or if a selector is none.
fn aggregated(role: &ClusterRole, all: &[Arc<ClusterRole>]) -> Option<Vec<PolicyRule>> {
    let selectors = role
        .aggregation_rule
        .as_ref()?
        .cluster_role_selectors
        .iter();
    let mut others: Vec<&Arc<ClusterRole>> = all.iter().collect();
    others.retain(|other| other.metadata.name != role.metadata.name);
    others.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let none = Default::default();
    let mut rules = Vec::new();
    for wanted in selectors.flatten() {
        let wanted = selector(Some(wanted)).ok()??;
        let chosen = |other: &&&Arc<ClusterRole>| {
            wanted.matches(other.metadata.labels.as_ref().unwrap_or(&none))
        };
        for rule in others
            .iter()
            .filter(chosen)
            .flat_map(|other| other.rules.iter().flatten())
        {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn role(name: &str, to: &str, verbs: &[&str], selectors: Value) -> Arc<ClusterRole> {
        let rules: Vec<Value> = verbs
            .iter()
            .map(|verb| json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}))
            .collect();
        let rule = match selectors {
            Value::Null => Value::Null,
            selectors => json!({"clusterRoleSelectors": selectors}),
        };
        let role = json!({
            "metadata": {"name": name, "labels": {"to": to}}, "rules": rules, "aggregationRule": rule,
        });
        Arc::new(serde_json::from_value(role).expect("a role"))
    }

    #[test]
    fn rules_come_by_selector_and_name_each_once_and_never_from_oneself() {
        let chooses = |to: &str| json!({"matchLabels": {"to": to}});
        let admin = role(
            "admin",
            "view",
            &["old"],
            json!([chooses("edit"), chooses("view")]),
        );
        let all = [
            role("z", "edit", &["create", "get"], Value::Null),
            role("b", "view", &["list", "get"], Value::Null),
            role("a", "view", &["watch"], Value::Null),
            role("other", "none", &["delete"], Value::Null),
            Arc::clone(&admin),
        ];
        let rules = aggregated(&admin, &all).expect("it aggregates");
        let verbs: Vec<&str> = rules.iter().map(|rule| rule.verbs[0].as_str()).collect();
        assert_eq!(verbs, ["create", "get", "watch", "list"]);
        assert_eq!(aggregated(&all[0], &all), None);
    }
}
