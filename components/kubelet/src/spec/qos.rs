//! Quality of service classes and what follows from them when memory ends.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use mainstay_client::quantity::{milli, whole};

/// How well a pod is kept when a node has too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    /// As `status.qosClass` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }

    /// The class of a pod: what the apiserver wrote down, else what its spec says.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let written = pod.status.as_ref().and_then(|s| s.qos_class.as_deref());
        match written {
            Some("Guaranteed") => Self::Guaranteed,
            Some("Burstable") => Self::Burstable,
            Some("BestEffort") => Self::BestEffort,
            _ => pod.spec.as_ref().map_or(Self::BestEffort, Self::of_spec),
        }
    }

    fn of_spec(spec: &PodSpec) -> Self {
        let mut any = false;
        let mut guaranteed = true;
        let own = spec.resources.as_ref();
        let all = containers(spec).map(|container| container.resources.as_ref());
        // Resources of the whole pod count instead of its containers'.
        let all: Vec<_> = match own {
            Some(_) => vec![own],
            None => all.collect(),
        };
        for resources in all {
            let (requests, limits) = resources.map_or((None, None), |resources| {
                (resources.requests.as_ref(), resources.limits.as_ref())
            });
            for name in ["cpu", "memory"] {
                let request = thousandths(requests, name);
                let limit = thousandths(limits, name);
                any |= request > 0 || limit > 0;
                guaranteed &= limit > 0 && (request == 0 || request == limit);
            }
        }
        match (any, guaranteed) {
            (false, _) => Self::BestEffort,
            (true, true) => Self::Guaranteed,
            (true, false) => Self::Burstable,
        }
    }
}

/// Init containers first.
pub(crate) fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
}

fn thousandths(list: Option<&BTreeMap<String, Quantity>>, name: &str) -> i64 {
    list.and_then(|list| list.get(name)).map_or(0, milli)
}

/// The last to be killed.
const GUARANTEED: i64 = -997;
/// The first.
const BEST_EFFORT: i64 = 1000;
/// Pods of this priority or more (`system-node-critical`) are what the node itself needs.
const NODE_CRITICAL: i32 = 2_000_001_000;

/// `oom_score_adj` of a container on a node with so many bytes of memory: who asked for more of it is killed later.
#[must_use]
pub fn oom_score_adj(pod: &Pod, container: &Container, memory: u64) -> i64 {
    let Some(spec) = &pod.spec else {
        return BEST_EFFORT;
    };
    if spec.priority.is_some_and(|p| p >= NODE_CRITICAL) {
        return GUARANTEED;
    }
    match QosClass::of(pod) {
        QosClass::Guaranteed => return GUARANTEED,
        QosClass::BestEffort => return BEST_EFFORT,
        QosClass::Burstable => {}
    }
    let share = unshared(spec);
    let memory = i64::try_from(memory).unwrap_or(i64::MAX).max(1);
    let score = |request: i64| {
        let request = i128::from(request) + i128::from(share);
        let part = 1000 * request / i128::from(memory);
        1000 - i64::try_from(part).unwrap_or(i64::MAX).min(2000)
    };
    let mut adj = score(requested(container));
    if is_sidecar(spec, container) {
        let least = spec.containers.iter().map(requested).min().unwrap_or(0);
        adj = adj.min(score(least));
    }
    if adj < 1000 + GUARANTEED {
        return 1000 + GUARANTEED;
    }
    adj.min(BEST_EFFORT - 1)
}

fn requested(container: &Container) -> i64 {
    let resources = container.resources.as_ref();
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    requests.and_then(|r| r.get("memory")).map_or(0, whole)
}

/// What of the whole pod's request no container asked for, divided among them.
fn unshared(spec: &PodSpec) -> i64 {
    let requests = spec.resources.as_ref().and_then(|r| r.requests.as_ref());
    let Some(whole_pod) = requests.and_then(|r| r.get("memory")).map(whole) else {
        return 0;
    };
    let lasting: Vec<_> = containers(spec)
        .filter(|c| spec.containers.iter().any(|o| o.name == c.name) || is_sidecar(spec, c))
        .collect();
    let asked = lasting.iter().map(|c| requested(c)).sum::<i64>();
    let count = i64::try_from(lasting.len()).unwrap_or(i64::MAX).max(1);
    (whole_pod - asked).max(0) / count
}

/// Whether it is an init container that lives as long as its pod.
#[must_use]
pub fn is_sidecar(spec: &PodSpec, container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
        && spec
            .init_containers
            .iter()
            .flatten()
            .any(|init| init.name == container.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::pod;

    #[test]
    fn classes_and_scores() {
        // On a node with 10 GiB.
        let memory = 10 << 30;
        for (spec, class, score) in [
            ("containers: [{name: a}]", QosClass::BestEffort, 1000),
            (
                "containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}]",
                QosClass::Guaranteed,
                -997,
            ),
            (
                "containers: [{name: a, resources: {requests: {cpu: 1, memory: 1Gi}, \
                 limits: {cpu: 1000m, memory: 1024Mi}}}]",
                QosClass::Guaranteed,
                -997,
            ),
            (
                "containers: [{name: a, resources: {requests: {memory: 1Gi}}}]",
                QosClass::Burstable,
                900,
            ),
            (
                "containers: [{name: a, resources: {requests: {cpu: 1}}}]",
                QosClass::Burstable,
                999,
            ),
            (
                "containers: [{name: a, resources: {requests: {memory: 10Gi}}}]",
                QosClass::Burstable,
                3,
            ),
            (
                "containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}, {name: b}]",
                QosClass::Burstable,
                999,
            ),
            (
                "priority: 2000001000\ncontainers: [{name: a}]",
                QosClass::BestEffort,
                -997,
            ),
            // Resources of the whole pod: half of its gibibyte for each container.
            (
                "resources: {requests: {memory: 2Gi}}\ncontainers: [{name: a}, {name: b}]",
                QosClass::Burstable,
                900,
            ),
        ] {
            let pod = pod(spec);
            assert_eq!(QosClass::of(&pod), class, "{spec}");
            let container = &pod.spec.as_ref().expect("has one").containers[0];
            assert_eq!(oom_score_adj(&pod, container, memory), score, "{spec}");
        }
    }

    #[test]
    fn a_sidecar_is_not_killed_before_what_it_serves() {
        let pod = pod(
            "initContainers: [{name: s, restartPolicy: Always, resources: {requests: {memory: 1Mi}}}]\n\
             containers: [{name: a, resources: {requests: {memory: 5Gi}}}]",
        );
        let spec = pod.spec.as_ref().expect("has one");
        let sidecar = &spec.init_containers.as_ref().expect("has one")[0];
        assert_eq!(oom_score_adj(&pod, sidecar, 10 << 30), 500);
        assert!(is_sidecar(spec, sidecar));
        assert!(!is_sidecar(spec, &spec.containers[0]));
    }
}
