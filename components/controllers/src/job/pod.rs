//! A job's pods: what they came to, and how new ones are made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};

use super::policy::judge;
use super::spec::{COMPLETION_INDEX, INDEX_FAILURES, INDEX_FAILURES_IGNORED, Spec, TRACKING};
use crate::pods::{phase, pod_from, ready_since};

/// Longest name of which the apiserver makes another with five letters behind.
const NAME_BASE_MAX: usize = 58;

pub(super) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub(crate) fn is_tracked(pod: &Pod) -> bool {
    let mut finalizers = pod.metadata.finalizers.iter().flatten();
    finalizers.any(|own| own == TRACKING)
}

fn annotation(pod: &Pod, name: &str) -> Option<i32> {
    let annotations = pod.metadata.annotations.as_ref()?;
    annotations.get(name)?.parse().ok()
}

/// The completion that a pod is for, if it is one of the job's.
pub(super) fn index(spec: &Spec<'_>, pod: &Pod) -> Option<i32> {
    let index = annotation(pod, COMPLETION_INDEX)?;
    (0..spec.completions()).contains(&index).then_some(index)
}

pub(super) fn has_succeeded(pod: &Pod) -> bool {
    phase(pod) == "Succeeded"
}

/// On its way, without an end of its own.
pub(super) fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() && !matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether it counts as failed: one that is deleted may never come to an end of its own, for who would tell of it.
pub(super) fn has_failed(spec: &Spec<'_>, pod: &Pod) -> bool {
    match phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        _ => pod.metadata.deletion_timestamp.is_some() && !spec.replaces_only_failed(),
    }
}

/// Failures of the index before this pod: those that count, and those that were ignored.
pub(super) fn index_failures(pod: &Pod) -> (i32, i32) {
    let count = |name| annotation(pod, name).unwrap_or(0);
    (count(INDEX_FAILURES), count(INDEX_FAILURES_IGNORED))
}

/// Whether the failure of this pod was the last that its index is allowed.
pub(super) fn fails_index(spec: &Spec<'_>, pod: &Pod) -> bool {
    let Some(limit) = spec.index_limit() else {
        return false;
    };
    if !has_failed(spec, pod) {
        return false;
    }
    let judgement = judge(spec.spec.pod_failure_policy.as_ref(), pod);
    judgement.fails_index || (!judgement.ignored && index_failures(pod).0 >= limit)
}

/// When it came to its end, as well as can be told.
pub(super) fn finished_at(pod: &Pod, now: Timestamp) -> Timestamp {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_deref());
    let ends = containers.unwrap_or_default().iter().filter_map(|c| {
        let ended = c.state.as_ref()?.terminated.as_ref()?;
        ended.finished_at.as_ref().map(|time| time.0)
    });
    let time = |time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.map(|time| time.0)
    };
    ends.max()
        .or_else(|| {
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
            let gone = time(pod.metadata.deletion_timestamp.as_ref())?;
            Some(gone - jiff::SignedDuration::from_secs(grace))
        })
        .or_else(|| ready_since(pod))
        .or_else(|| time(pod.metadata.creation_timestamp.as_ref()))
        .unwrap_or(now)
}

/// A new pod: of an indexed job for `index`, in the place of `replaced` if there was one.
pub(super) fn new_pod(spec: &Spec<'_>, index: Option<i32>, replaced: Option<&Pod>) -> Pod {
    let mut pod = pod_from(&spec.spec.template, spec.job);
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|own| own == TRACKING) {
        finalizers.push(TRACKING.to_owned());
    }
    let Some(index) = index else {
        return pod;
    };
    let text = index.to_string();
    pod.metadata.generate_name = Some(base_name(spec.name(), &text));
    let put = |map: &mut Option<BTreeMap<String, String>>, name: &str, value: String| {
        map.get_or_insert_default().insert(name.to_owned(), value);
    };
    put(
        &mut pod.metadata.annotations,
        COMPLETION_INDEX,
        text.clone(),
    );
    put(&mut pod.metadata.labels, COMPLETION_INDEX, text.clone());
    if spec.index_limit().is_some() {
        let (failures, ignored) = next_failures(spec, replaced);
        put(
            &mut pod.metadata.annotations,
            INDEX_FAILURES,
            failures.to_string(),
        );
        if ignored > 0 {
            let ignored = ignored.to_string();
            put(
                &mut pod.metadata.annotations,
                INDEX_FAILURES_IGNORED,
                ignored,
            );
        }
    }
    if let Some(pod) = &mut pod.spec {
        pod.hostname = Some(format!("{}-{text}", spec.name()));
        let init = pod.init_containers.iter_mut().flatten();
        for container in init.chain(&mut pod.containers) {
            tell_index(container);
        }
    }
    pod
}

fn base_name(job: &str, index: &str) -> String {
    let room = NAME_BASE_MAX.saturating_sub(index.len() + 2);
    // Names of objects are ASCII.
    let job = job.get(..room.min(job.len())).unwrap_or(job);
    format!("{job}-{index}-")
}

fn next_failures(spec: &Spec<'_>, replaced: Option<&Pod>) -> (i32, i32) {
    let Some(replaced) = replaced else {
        return (0, 0);
    };
    let (failures, ignored) = index_failures(replaced);
    match judge(spec.spec.pod_failure_policy.as_ref(), replaced).ignored {
        true => (failures, ignored + 1),
        false => (failures + 1, ignored),
    }
}

fn tell_index(container: &mut Container) {
    const NAME: &str = "JOB_COMPLETION_INDEX";
    let env = container.env.get_or_insert_default();
    if env.iter().any(|variable| variable.name == NAME) {
        return;
    }
    let field_ref = ObjectFieldSelector {
        api_version: None,
        field_path: format!("metadata.labels['{COMPLETION_INDEX}']"),
    };
    env.push(EnvVar {
        name: NAME.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(field_ref),
            ..EnvVarSource::default()
        }),
    });
}
