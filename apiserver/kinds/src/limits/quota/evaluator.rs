//! Which resources quotas count, and by which names.

use crate::limits::Change;
use crate::limits::names::{HUGE_PAGES, REQUESTS, is_extended_quota};
use crate::value::{entries, number};
use mainstay_schema::{Resource, Verb, resources};
use serde_json::Value;
use std::collections::BTreeSet;

const POD_NAMES: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];
const SERVICE_NAMES: [&str; 3] = ["services", "services.nodeports", "services.loadbalancers"];
pub(super) const CLAIMS: &str = "persistentvolumeclaims";
pub(super) const STORAGE: &str = "requests.storage";
/// Between a storage class and what is limited for it.
pub(super) const BY_STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";
/// After a device class.
pub(super) const BY_DEVICE_CLASS: &str = ".deviceclass.resource.k8s.io/devices";

/// How the objects of a resource are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evaluator {
    Pods,
    Services,
    VolumeClaims,
    DeviceClaims,
    /// Only counted, perhaps also by a name from before there was `count/…`.
    Count(Option<&'static str>),
}

impl Evaluator {
    pub(super) fn of(resource: &Resource) -> Evaluator {
        match (resource.group, resource.plural) {
            ("", "pods") => Evaluator::Pods,
            ("", "services") => Evaluator::Services,
            ("", CLAIMS) => Evaluator::VolumeClaims,
            ("resource.k8s.io", "resourceclaims") => Evaluator::DeviceClaims,
            ("", "configmaps") => Evaluator::Count(Some("configmaps")),
            ("", "resourcequotas") => Evaluator::Count(Some("resourcequotas")),
            ("", "replicationcontrollers") => Evaluator::Count(Some("replicationcontrollers")),
            ("", "secrets") => Evaluator::Count(Some("secrets")),
            _ => Evaluator::Count(None),
        }
    }

    fn measures(self, name: &str) -> bool {
        match self {
            Evaluator::Pods => {
                let plain = name.strip_prefix(REQUESTS).unwrap_or(name);
                POD_NAMES.contains(&name)
                    || plain.starts_with(HUGE_PAGES)
                    || is_extended_quota(name)
            }
            Evaluator::Services => SERVICE_NAMES.contains(&name),
            Evaluator::VolumeClaims => {
                let of_class = name.rsplit_once(BY_STORAGE_CLASS).map(|(_, what)| what);
                [CLAIMS, STORAGE].contains(&of_class.unwrap_or(name))
            }
            Evaluator::DeviceClaims => name.ends_with(BY_DEVICE_CLASS),
            Evaluator::Count(alias) => alias == Some(name),
        }
    }
}

/// `count/pods`, `count/deployments.apps`.
pub(super) fn count_name(resource: &Resource) -> String {
    format!("count/{}", resource.qualified_name())
}

/// Those of a quota's names that objects of the resource are measured by, sorted. `hard` is a path.
pub(super) fn measured_names(quota: &Value, hard: &str, resource: &Resource) -> BTreeSet<String> {
    let (evaluator, count) = (Evaluator::of(resource), count_name(resource));
    let measured = |name: &&String| **name == count || evaluator.measures(name);
    let names = entries(quota, hard).map(|(name, _)| name);
    names.filter(measured).cloned().collect()
}

/// Whether quotas know the resource at all: it is namespaced, stored and no event.
fn is_counted(resource: &Resource) -> bool {
    let counted = [Verb::Create, Verb::List, Verb::Watch, Verb::Delete];
    resource.namespaced
        && resource.plural != "events"
        && counted.iter().all(|verb| resource.verbs.contains(*verb))
}

/// Whether a request may change what is used of quotas. Requests to subresources do not, but for resizes of
/// pods and the status of volume claims; other updates only of objects that are more than counted.
#[must_use]
pub fn concerns(change: &Change<'_>) -> bool {
    if !is_counted(change.resource) {
        return false;
    }
    match (
        Evaluator::of(change.resource),
        change.subresource,
        change.old,
    ) {
        (_, "", None) => true,
        // Deadlines decide about scopes, and may be set later.
        (Evaluator::Pods, "", Some(old)) => has_deadline(old) != has_deadline(change.new),
        (Evaluator::Pods, "resize", Some(_)) => true,
        (Evaluator::VolumeClaims, "" | "status", Some(_)) => true,
        (Evaluator::Services | Evaluator::DeviceClaims, "", Some(_)) => true,
        _ => false,
    }
}

/// Whether the pod ends by itself, in the sense of the scope `Terminating`.
pub(super) fn has_deadline(pod: &Value) -> bool {
    number(pod, "spec.activeDeadlineSeconds").is_some_and(|seconds| seconds >= 0)
}

/// The resources whose objects a quota's `spec.hard` limits: what a recount has to list. Of several versions
/// of a resource only the first is named.
#[must_use]
pub fn tracked_resources(quota: &Value) -> Vec<&'static Resource> {
    let mut tracked: Vec<&'static Resource> = Vec::new();
    for resource in resources().iter().filter(|resource| is_counted(resource)) {
        let known = tracked
            .iter()
            .any(|other| (other.group, other.plural) == (resource.group, resource.plural));
        if !known && !measured_names(quota, "spec.hard", resource).is_empty() {
            tracked.push(resource);
        }
    }
    tracked
}
