//! What pods of a class have in common: all that decisions depend on.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, PodSpec, Toleration, TopologySpreadConstraint};
use serde::Serialize;

use crate::pod::PodInfo;
use crate::selector::Labels;

#[derive(Serialize)]
struct Parts<'a> {
    namespace: &'a str,
    labels: &'a Labels,
    owner: Option<&'a str>,
    node: &'a Option<String>,
    selector: &'a Option<BTreeMap<String, String>>,
    affinity: &'a Option<Affinity>,
    tolerations: &'a Option<Vec<Toleration>>,
    spread: &'a Option<Vec<TopologySpreadConstraint>>,
    priority: Option<i32>,
    preemption: &'a Option<String>,
    asks: (i64, i64, i64, &'a [(String, i64)]),
    scored: (i64, i64),
    ports: Vec<(&'a str, &'a str, i32)>,
    images: Vec<&'a Option<String>>,
}

/// The same bytes for pods of the same class.
pub(super) fn key(pod: &PodInfo, spec: &PodSpec) -> Vec<u8> {
    let asks = &pod.asks;
    let init = spec.init_containers.iter().flatten();
    let volumes = spec.volumes.iter().flatten();
    let volumes = volumes.filter_map(|v| Some(&v.image.as_ref()?.reference));
    let images = init.chain(&spec.containers).map(|c| &c.image);
    let parts = Parts {
        namespace: pod.namespace(),
        labels: pod.labels(),
        owner: pod.owner().map(|owner| owner.uid.as_str()),
        node: &spec.node_name,
        selector: &spec.node_selector,
        affinity: &spec.affinity,
        tolerations: &spec.tolerations,
        spread: &spec.topology_spread_constraints,
        priority: spec.priority,
        preemption: &spec.preemption_policy,
        asks: (asks.cpu, asks.memory, asks.ephemeral, &asks.extended),
        scored: (pod.scored_cpu, pod.scored_memory),
        ports: pod
            .ports
            .iter()
            .map(|p| (p.ip.as_str(), p.protocol.as_str(), p.port))
            .collect(),
        images: images.chain(volumes).collect(),
    };
    serde_json::to_vec(&parts).expect("maps have keys that are strings")
}
