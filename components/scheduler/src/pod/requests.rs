//! What a pod asks for, by upstream's rules for containers that run one after another and beside each other.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource;
use mainstay_client::quantity::{milli, whole};

use crate::limits::{CPU_ASSUMED_MILLI, MEMORY_ASSUMED_BYTES};

type List = BTreeMap<String, resource::Quantity>;

/// Amounts of resources: CPU in thousandths, all else in whole units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) cpu: i64,
    pub(crate) memory: i64,
    pub(crate) ephemeral: i64,
    /// Ordered by name.
    pub(crate) extended: Vec<(String, i64)>,
}

impl Amounts {
    pub(crate) fn of(list: Option<&List>) -> Self {
        let mut amounts = Self::default();
        for (name, amount) in list.into_iter().flatten() {
            amounts.set(name, amount);
        }
        amounts
    }

    fn set(&mut self, name: &str, amount: &resource::Quantity) {
        match name {
            "cpu" => self.cpu = milli(amount),
            "memory" => self.memory = whole(amount),
            "ephemeral-storage" => self.ephemeral = whole(amount),
            name => *self.extended_mut(name) = whole(amount),
        }
    }

    fn extended_mut(&mut self, name: &str) -> &mut i64 {
        let found = self
            .extended
            .binary_search_by(|(other, _)| other.as_str().cmp(name));
        let at = found.unwrap_or_else(|at| {
            self.extended.insert(at, (name.to_owned(), 0));
            at
        });
        &mut self.extended[at].1
    }

    fn merge(&mut self, other: &Self, how: fn(i64, i64) -> i64) {
        self.cpu = how(self.cpu, other.cpu);
        self.memory = how(self.memory, other.memory);
        self.ephemeral = how(self.ephemeral, other.ephemeral);
        for (name, amount) in &other.extended {
            let own = self.extended_mut(name);
            *own = how(*own, *amount);
        }
    }

    fn add(&mut self, other: &Self) {
        self.merge(other, i64::saturating_add);
    }

    fn raise(&mut self, other: &Self) {
        self.merge(other, i64::max);
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.cpu == 0 && self.memory == 0 && self.ephemeral == 0 && self.extended.is_empty()
    }
}

/// What the scheduler assumes of containers that ask for nothing, in scores only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Nothing,
    Assumed,
}

fn of_container(container: &Container, pod: &Pod, missing: Missing) -> Amounts {
    let list = container
        .resources
        .as_ref()
        .and_then(|r| r.requests.as_ref());
    let mut amounts = Amounts::of(list);
    if let Some(status) = status(pod, &container.name) {
        amounts.raise(&Amounts::of(status.allocated_resources.as_ref()));
        let actual = status.resources.as_ref().and_then(|r| r.requests.as_ref());
        amounts.raise(&Amounts::of(actual));
    }
    if missing == Missing::Assumed {
        let has = |name: &str| list.is_some_and(|list| list.contains_key(name));
        if !has("cpu") {
            amounts.cpu = amounts.cpu.max(CPU_ASSUMED_MILLI);
        }
        if !has("memory") {
            amounts.memory = amounts.memory.max(MEMORY_ASSUMED_BYTES);
        }
    }
    amounts
}

fn status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().flatten();
    let init = status.init_container_statuses.iter().flatten();
    all.chain(init).find(|status| status.name == container)
}

/// Containers run beside each other; init containers one after another before them, but those that are restarted
/// always (sidecars) go on running beside all that follow.
pub(crate) fn requests(pod: &Pod, spec: &PodSpec, missing: Missing) -> Amounts {
    let mut all = Amounts::default();
    for container in &spec.containers {
        all.add(&of_container(container, pod, missing));
    }
    let mut sidecars = Amounts::default();
    let mut starting = Amounts::default();
    for container in spec.init_containers.iter().flatten() {
        let mut own = of_container(container, pod, missing);
        if container.restart_policy.as_deref() == Some("Always") {
            all.add(&own);
            sidecars.add(&own);
            own = sidecars.clone();
        } else {
            own.add(&sidecars);
        }
        starting.raise(&own);
    }
    all.raise(&starting);
    // What is asked for the pod as a whole counts instead of what its containers ask for.
    let whole = spec.resources.as_ref().and_then(|r| r.requests.as_ref());
    for (name, amount) in whole.into_iter().flatten() {
        if matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-") {
            all.set(name, amount);
        }
    }
    all.add(&Amounts::of(spec.overhead.as_ref()));
    all.extended.retain(|(_, amount)| *amount != 0);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn asked(spec: Value, missing: Missing) -> (i64, i64) {
        let pod: Pod = serde_json::from_value(json!({"spec": spec})).expect("a pod");
        let spec = pod.spec.clone().expect("a spec");
        let amounts = requests(&pod, &spec, missing);
        (amounts.cpu, amounts.memory)
    }

    fn container(name: &str, cpu: &str, memory: &str) -> Value {
        json!({"name": name, "resources": {"requests": {"cpu": cpu, "memory": memory}}})
    }

    fn sidecar(name: &str, cpu: &str, memory: &str) -> Value {
        let mut container = container(name, cpu, memory);
        container["restartPolicy"] = json!("Always");
        container
    }

    #[test]
    fn pods_ask_for_what_runs_at_the_same_time() {
        let two = json!([container("a", "100m", "10"), container("b", "200m", "20")]);
        for (what, spec, expected) in [
            ("containers add up", json!({"containers": two}), (300, 30)),
            (
                "an init container counts if it asks for more than all that follow",
                json!({"containers": two, "initContainers": [container("i", "1", "5")]}),
                (1000, 30),
            ),
            (
                "a sidecar runs beside the containers",
                json!({"containers": two, "initContainers": [sidecar("s", "50m", "5")]}),
                (350, 35),
            ),
            (
                "and beside the init containers after it, not before it",
                json!({"containers": two, "initContainers": [
                    container("before", "400m", "0"), sidecar("s", "50m", "5"), container("after", "400m", "0")]}),
                (450, 35),
            ),
            (
                "overhead is added",
                json!({"containers": two, "overhead": {"cpu": "1m", "memory": "1"}}),
                (301, 31),
            ),
            (
                "what the pod asks for as a whole counts instead",
                json!({"containers": two, "resources": {"requests": {"cpu": "2"}}, "overhead": {"cpu": "1m"}}),
                (2001, 30),
            ),
        ] {
            assert_eq!(asked(spec, Missing::Nothing), expected, "{what}");
        }
        let bare = json!({"containers": [{"name": "a"}, container("b", "1", "0")]});
        assert_eq!(asked(bare.clone(), Missing::Nothing), (1000, 0));
        assert_eq!(asked(bare, Missing::Assumed), (1100, 200 * 1024 * 1024));
    }
}
