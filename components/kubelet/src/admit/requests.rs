//! What a pod takes of a node, by upstream's rules.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use mainstay_client::quantity::{milli, whole};

/// By name: CPU in thousandths, all else in whole units.
pub(super) type Amounts = BTreeMap<String, i64>;

/// An amount in the unit in which this resource is counted.
pub(super) fn count(name: &str, amount: &Quantity) -> i64 {
    match name {
        "cpu" => milli(amount),
        _ => whole(amount),
    }
}

/// Containers run beside each other; init containers before them one after another, but those that are restarted
/// always go on running beside all that follow. What is set for the pod as a whole counts in place of that.
pub(super) fn requests(spec: &PodSpec) -> Amounts {
    let mut all = Amounts::new();
    for container in &spec.containers {
        add(&mut all, &of_container(container));
    }
    let mut sidecars = Amounts::new();
    let mut starting = Amounts::new();
    for container in spec.init_containers.iter().flatten() {
        let mut own = of_container(container);
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut all, &own);
            add(&mut sidecars, &own);
            own = sidecars.clone();
        } else {
            add(&mut own, &sidecars);
        }
        raise(&mut starting, &own);
    }
    raise(&mut all, &starting);
    let whole = spec.resources.as_ref();
    let whole = whole.and_then(|whole| whole.requests.as_ref());
    for (name, amount) in whole.into_iter().flatten() {
        all.insert(name.clone(), count(name, amount));
    }
    for (name, amount) in spec.overhead.iter().flatten() {
        let sum = all.entry(name.clone()).or_default();
        *sum = sum.saturating_add(count(name, amount));
    }
    all.retain(|_, amount| *amount != 0);
    all
}

/// Where nothing is asked for, the limit is: the apiserver has done so, for static pods nobody has.
fn of_container(container: &Container) -> Amounts {
    let Some(resources) = &container.resources else {
        return Amounts::new();
    };
    let limits = resources.limits.iter().flatten();
    let requests = resources.requests.iter().flatten();
    limits
        .chain(requests)
        .map(|(name, amount)| (name.clone(), count(name, amount)))
        .collect()
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let one = sum.entry(name.clone()).or_default();
        *one = one.saturating_add(*amount);
    }
}

fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let one = most.entry(name.clone()).or_default();
        *one = (*one).max(*amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_summed_up_as_containers_run() {
        let container = |cpu: &str| json!({"name": "a", "resources": {"requests": {"cpu": cpu}}});
        let cases = [
            (
                json!({"containers": [container("1"), container("500m")]}),
                1500,
            ),
            (
                json!({"containers": [container("1")], "initContainers": [container("3")]}),
                3000,
            ),
            (
                json!({"containers": [container("1")], "initContainers": [
                    {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}, container("2")]}),
                3000,
            ),
            (
                json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "2"}}}]}),
                2000,
            ),
            (
                json!({"containers": [container("1")], "resources": {"requests": {"cpu": "4"}}, "overhead": {"cpu": "10m"}}),
                4010,
            ),
        ];
        for (spec, expected) in cases {
            let read: PodSpec = serde_json::from_value(spec.clone()).expect("a spec");
            assert_eq!(requests(&read).get("cpu"), Some(&expected), "{spec}");
        }
        let none: PodSpec =
            serde_json::from_value(json!({"containers": [container("0")]})).expect("a spec");
        assert!(requests(&none).is_empty());
    }
}
