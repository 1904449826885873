//! Pods that the apiserver gave to this node.

use k8s_openapi::api::core::v1::Pod;
use mainstay_client::{Change, Informer};

use crate::report::MIRROR;
use crate::sources::Mirrors;
use crate::worker::Pods;

/// Whether a pod only shows a static one.
pub(super) fn is_mirror(pod: &Pod) -> bool {
    let marks = pod.metadata.annotations.as_ref();
    marks.is_some_and(|marks| marks.contains_key(MIRROR))
}

/// Hands on what the apiserver says, from now on.
pub fn follow_api(informer: &Informer<Pod>, pods: &Pods, mirrors: &Mirrors) {
    let (pods, mirrors) = (pods.clone(), mirrors.clone());
    informer.on(move |change| {
        let pod = change.object();
        if is_mirror(pod) {
            mirrors.seen(pod);
            return;
        }
        match change {
            Change::Added(pod) | Change::Updated { new: pod, .. } => {
                pods.set(std::sync::Arc::clone(pod))
            }
            Change::Deleted(pod) => {
                if let Some(uid) = &pod.metadata.uid {
                    pods.remove(uid);
                }
            }
        }
    });
}
