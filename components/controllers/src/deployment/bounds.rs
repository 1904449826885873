//! How many pods a rollout may have too many or too few.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::shares::{Round, scaled};

/// What the spec of a deployment allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) replicas: i32,
    /// Pods more than `replicas` while rolling.
    pub(super) surge: i32,
    /// Pods fewer than `replicas` that must be available while rolling.
    pub(super) unavailable: i32,
    /// Whether new pods come while old ones are there.
    pub(super) rolling: bool,
}

impl Bounds {
    pub(super) fn of(deployment: &Deployment) -> Self {
        let spec = deployment.spec.as_ref();
        let replicas = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let strategy = spec.and_then(|spec| spec.strategy.as_ref());
        let type_ = strategy.and_then(|strategy| strategy.type_.as_deref());
        if type_ == Some("Recreate") {
            return Self {
                replicas,
                surge: 0,
                unavailable: 0,
                rolling: false,
            };
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let zero = IntOrString::Int(0);
        let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
        let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let surge = scaled(surge.unwrap_or(&zero), replicas, Round::Up);
        let mut unavailable = scaled(unavailable.unwrap_or(&zero), replicas, Round::Down);
        if surge == 0 && unavailable == 0 {
            // Both may round to nothing, and then nothing would ever move.
            unavailable = 1;
        }
        Self {
            replicas,
            surge,
            unavailable: unavailable.min(replicas),
            rolling: true,
        }
    }

    /// The most pods there may be.
    pub(super) fn most(&self) -> i32 {
        self.replicas.saturating_add(self.surge)
    }

    /// The fewest pods that must be available.
    pub(super) fn least(&self) -> i32 {
        self.replicas - self.unavailable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn percentages_round_towards_more_pods() {
        // Replicas, strategy, expected: most, least.
        let rolling = |surge: Value, unavailable: Value| {
            json!({"type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
        };
        for (replicas, strategy, most, least) in [
            (10, rolling(json!("25%"), json!("25%")), 13, 8),
            (1, rolling(json!("25%"), json!("25%")), 2, 1),
            (3, rolling(json!(0), json!("10%")), 3, 2),
            (3, rolling(json!(2), json!(0)), 5, 3),
            (3, rolling(json!(0), json!(5)), 3, 0),
            (0, rolling(json!("25%"), json!("25%")), 0, 0),
            (4, json!({"type": "Recreate"}), 4, 4),
        ] {
            let deployment = json!({"spec": {"replicas": replicas, "strategy": strategy,
                "selector": {}, "template": {}}});
            let deployment = serde_json::from_value(deployment).expect("a deployment");
            let bounds = Bounds::of(&deployment);
            assert_eq!(
                (bounds.most(), bounds.least()),
                (most, least),
                "{replicas} {strategy}"
            );
        }
    }
}
