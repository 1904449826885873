//! Which services care about a change of a pod.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use mainstay_client::{Cache, Change, Key};

use crate::pods::is_ready;

type Labels = BTreeMap<String, String>;

/// The services to look at again after a change.
pub(super) fn concerned(services: &Cache<Service>, change: &Change<'_, Pod>) -> BTreeSet<Key> {
    match change {
        Change::Added(pod) | Change::Deleted(pod) => selecting(services, pod, |_| true),
        Change::Updated { old, new } => {
            let moved = old.metadata.labels != new.metadata.labels;
            if !moved && !tells_otherwise(old, new) {
                return BTreeSet::new();
            }
            let mut all = selecting(services, new, |_| true);
            if moved {
                all.extend(selecting(services, old, |_| true));
            }
            all
        }
    }
}

/// Services of a pod's namespace that select it.
fn selecting(
    services: &Cache<Service>,
    pod: &Pod,
    also: impl Fn(&Service) -> bool,
) -> BTreeSet<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let all = services.in_namespace(namespace).into_iter();
    let matching = all.filter(|service| {
        selector(service).is_some_and(|selector| selects(selector, pod)) && also(service)
    });
    matching.map(|service| Key::of(service.as_ref())).collect()
}

/// Labels that pods of a service have; none for one whose endpoints are somebody else's work.
pub(super) fn selector(service: &Service) -> Option<&Labels> {
    let spec = service.spec.as_ref()?;
    let outside = spec.type_.as_deref() == Some("ExternalName");
    let selector = spec.selector.as_ref();
    selector.filter(|selector| !outside && !selector.is_empty())
}

pub(super) fn selects(selector: &Labels, pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    let has = |(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value);
    selector.iter().all(has)
}

/// The pods a service selects.
pub(super) fn pods(cache: &Cache<Pod>, key: &Key, selector: &Labels) -> Vec<Arc<Pod>> {
    let mut pods = cache.in_namespace(&key.namespace);
    pods.retain(|pod| selects(selector, pod));
    pods
}

/// Whether endpoints of a pod differ.
fn tells_otherwise(old: &Pod, new: &Pod) -> bool {
    type Told<'a> = (bool, bool, Option<&'a str>, Option<usize>, Option<&'a str>);
    fn told(pod: &Pod) -> Told<'_> {
        let status = pod.status.as_ref();
        (
            is_ready(pod),
            pod.metadata.deletion_timestamp.is_some(),
            status.and_then(|status| status.phase.as_deref()),
            status.and_then(|status| status.pod_ips.as_ref().map(Vec::len)),
            pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()),
        )
    }
    let address = |pod: &Pod| pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    told(old) != told(new)
        || address(old) != address(new)
        || old.spec.as_ref().map(|s| (&s.hostname, &s.subdomain))
            != new.spec.as_ref().map(|s| (&s.hostname, &s.subdomain))
}
