//! A pod's status as a whole.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, HostIP, Pod, PodIP, PodStatus};

use super::conditions::conditions;
use super::containers::{Group, container_statuses};
use super::phase;
use super::times::seconds;
use crate::decide::is_sidecar;
use crate::observed::Observed;
use crate::probes::Verdicts;

pub use super::phase::Phase;

/// Why a container does not run, in upstream's words: reason and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: String,
    pub message: String,
}

/// By container's name.
pub type Failures = HashMap<String, Failure>;

/// Why the kubelet ended a pod by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub reason: String,
    pub message: String,
}

/// What a status is made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub pod: &'a Pod,
    /// What was last said of it.
    pub old: &'a PodStatus,
    pub seen: &'a Observed,
    pub verdicts: &'a Verdicts,
    pub failures: &'a Failures,
    pub ended: Option<&'a Ended>,
    /// Nothing of it runs any more, nor will again.
    pub over: bool,
    /// The node's addresses; the first one is its main one.
    pub host_ips: &'a [String],
    /// As `containerd`: what container ids begin with.
    pub runtime: &'a str,
    pub now: Timestamp,
}

/// The status.
pub fn status(facts: Facts<'_>) -> PodStatus {
    let Facts { pod, old, seen, .. } = facts;
    let Some(spec) = &pod.spec else {
        return old.clone();
    };
    let init = container_statuses(facts, Group::Init);
    let mains = container_statuses(facts, Group::Main);
    let mut phase = phase::phase(spec, &init, &mains, facts.over);
    // A pod that came to its end stays there.
    if let Some(last @ (Phase::Failed | Phase::Succeeded)) = Phase::named(old.phase.as_deref()) {
        phase = last;
    }
    if facts.ended.is_some() {
        phase = Phase::Failed;
    }
    let host = spec.host_network == Some(true);
    let mut ips = match host {
        true => facts.host_ips.to_vec(),
        false => seen.ips().to_vec(),
    };
    let kept = old.pod_ips.iter().flatten().map(|ip| ip.ip.clone());
    if ips.is_empty() {
        // A pod that ended keeps its address.
        ips = kept.collect();
    }
    let ended = |pick: fn(&Ended) -> &String| facts.ended.map(|ended| pick(ended).clone());
    PodStatus {
        phase: Some(phase.name().to_owned()),
        reason: ended(|ended| &ended.reason).or_else(|| old.reason.clone()),
        message: ended(|ended| &ended.message).or_else(|| old.message.clone()),
        conditions: Some(conditions(facts, phase, &init, &mains)),
        host_ip: facts.host_ips.first().cloned(),
        host_ips: Some(
            facts
                .host_ips
                .iter()
                .map(|ip| HostIP { ip: ip.clone() })
                .collect(),
        ),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.into_iter().map(|ip| PodIP { ip }).collect()),
        start_time: old.start_time.clone().or_else(|| Some(seconds(facts.now))),
        init_container_statuses: (!init.is_empty()).then_some(init),
        container_statuses: (!mains.is_empty()).then_some(mains),
        observed_generation: pod.metadata.generation.or(old.observed_generation),
        ..old.clone()
    }
}

/// Whether all init containers have done what the others wait for.
pub(super) fn is_initialized(pod: &Pod, init: &[ContainerStatus]) -> bool {
    let spec = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    spec.zip(init)
        .all(|(container, status)| match is_sidecar(container) {
            true => status.started == Some(true),
            false => status.ready,
        })
}
