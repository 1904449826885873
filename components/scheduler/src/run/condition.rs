//! What a pod's status says about why it has no node.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

const TYPE: &str = "PodScheduled";

/// The condition a pod should have; `None` if it has it already.
pub(super) fn needed(pod: &Pod, reason: &str, message: &str) -> Option<PodCondition> {
    let status = pod.status.as_ref();
    let mut conditions = status
        .into_iter()
        .flat_map(|s| s.conditions.iter().flatten());
    let old = conditions.find(|condition| condition.type_ == TYPE);
    let same = old.is_some_and(|old| {
        old.status == "False"
            && old.reason.as_deref() == Some(reason)
            && old.message.as_deref() == Some(message)
    });
    if same {
        return None;
    }
    let since = old.filter(|old| old.status == "False");
    let since = since.and_then(|old| old.last_transition_time.clone());
    Some(PodCondition {
        type_: TYPE.to_owned(),
        status: "False".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(since.unwrap_or_else(|| Time(Timestamp::now()))),
        last_probe_time: None,
        observed_generation: pod.metadata.generation,
    })
}

/// Writes it to this pod and no other of its name.
pub(super) async fn write(client: Client, pod: &Pod, condition: PodCondition) -> kube::Result<()> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(client, namespace);
    let patch = json!({
        "metadata": {"uid": pod.metadata.uid},
        "status": {"conditions": [condition]},
    });
    let patch = Patch::Strategic(&patch);
    api.patch_status(name, &PatchParams::default(), &patch)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_written_only_if_it_says_something_else() {
        let mut pod = Pod::default();
        let first = needed(&pod, "Unschedulable", "no room").expect("it has none");
        pod.status = Some(Default::default());
        let status = pod.status.as_mut().expect("just made");
        status.conditions = Some(vec![first.clone()]);
        assert_eq!(needed(&pod, "Unschedulable", "no room"), None);
        let other = needed(&pod, "Unschedulable", "still no room").expect("another message");
        assert_eq!(other.last_transition_time, first.last_transition_time);
        let gated = PodCondition {
            status: "True".to_owned(),
            ..first
        };
        pod.status.as_mut().expect("just made").conditions = Some(vec![gated]);
        assert!(needed(&pod, "Unschedulable", "no room").is_some());
    }
}
