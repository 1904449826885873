//! What a pod asks of its node: the sums over its containers and its quality of service.

use crate::quantities::{Amounts, add, amounts, raise};
use crate::value::{at, list, text};
use serde_json::Value;

/// Requests or limits of all containers together, of a pod spec.
pub(crate) fn of_containers(spec: &Value, which: &str) -> Amounts {
    let path = format!("resources.{which}");
    sum_containers(spec, |container| amounts(container, &path))
}

/// The amounts of all containers of a pod spec together. Containers run side by side, so theirs add up;
/// init containers run one after the other beside the sidecars started before, so the largest of those
/// counts.
pub(crate) fn sum_containers(spec: &Value, own: impl Fn(&Value) -> Amounts) -> Amounts {
    let mut sum = Amounts::new();
    for container in list(spec, "containers") {
        add(&mut sum, &own(container));
    }
    let mut sidecars = Amounts::new();
    let mut peak = Amounts::new();
    for container in list(spec, "initContainers") {
        let own = own(container);
        if text(container, "restartPolicy") == "Always" {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            raise(&mut peak, &sidecars);
        } else {
            let mut running = sidecars.clone();
            add(&mut running, &own);
            raise(&mut peak, &running);
        }
    }
    raise(&mut sum, &peak);
    sum
}

/// The pod's `status.qosClass` by its cpu and memory: `Guaranteed` if both are limited everywhere and
/// requests equal limits, `BestEffort` if neither is mentioned, else `Burstable`.
pub(crate) fn qos_class(spec: &Value) -> &'static str {
    let mut requests = Amounts::new();
    let mut limits = Amounts::new();
    let mut all_limited = true;
    let mut count = |owner: &Value| {
        add(&mut requests, &compute(owner, "resources.requests"));
        let own = compute(owner, "resources.limits");
        all_limited &= own.len() == 2;
        add(&mut limits, &own);
    };
    if at(spec, "resources").is_some() {
        count(spec);
    } else {
        list(spec, "containers")
            .iter()
            .chain(list(spec, "initContainers"))
            .for_each(count);
    }
    if requests.is_empty() && limits.is_empty() {
        return "BestEffort";
    }
    let equal = requests.len() == limits.len()
        && requests
            .iter()
            .all(|(name, request)| limits.get(name).is_some_and(|limit| limit == request));
    if all_limited && equal {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn compute(owner: &Value, path: &str) -> Amounts {
    let mut found = amounts(owner, path);
    found.retain(|name, amount| matches!(name.as_str(), "cpu" | "memory") && amount.signum() > 0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(requests: Value, limits: Value) -> Value {
        json!({"resources": {"requests": requests, "limits": limits}})
    }

    #[test]
    fn quality_of_service_follows_cpu_and_memory() {
        let full = json!({"cpu": "1", "memory": "1Gi"});
        let half = json!({"cpu": "500m", "memory": "1Gi"});
        for (containers, class) in [
            (json!([{}]), "BestEffort"),
            (json!([container(full.clone(), full.clone())]), "Guaranteed"),
            (
                json!([container(
                    json!({"cpu": "1000m", "memory": "1Gi"}),
                    full.clone()
                )]),
                "Guaranteed",
            ),
            (json!([container(half, full.clone())]), "Burstable"),
            (
                json!([container(full.clone(), full.clone()), {}]),
                "Burstable",
            ),
            (
                json!([container(json!({"example.com/gpu": 1}), json!({}))]),
                "BestEffort",
            ),
            (
                json!([container(json!({"cpu": 0}), json!({}))]),
                "BestEffort",
            ),
        ] {
            assert_eq!(
                qos_class(&json!({"containers": containers})),
                class,
                "{containers}"
            );
        }
    }

    #[test]
    fn init_containers_count_by_their_peak_and_sidecars_always() {
        let one = |cpu: &str| container(json!({"cpu": cpu}), json!({}));
        let mut sidecar = one("2");
        sidecar["restartPolicy"] = "Always".into();
        let spec = json!({"containers": [one("1")], "initContainers": [sidecar, one("5")]});
        assert_eq!(of_containers(&spec, "requests")["cpu"].to_string(), "7");
    }
}
