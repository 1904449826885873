//! What the node authorizer must know: which pods are on which node, and what hangs on them.

use std::sync::Arc;

use mainstay_auth::node::{NodeAuthorizer, POD_PARTS};
use mainstay_machinery::decode::Outline;
use mainstay_machinery::encode::member;

use super::follow::{Parts, follow};
use crate::registry::Registry;

/// Kinds whose objects are in the graph.
const KINDS: [(&str, &str); 3] = [
    ("", "pods"),
    ("", "persistentvolumes"),
    ("storage.k8s.io", "volumeattachments"),
];

/// Keeps the graph equal to the stored objects, for as long as the registry lives.
pub(crate) fn feed_nodes(registry: &Arc<Registry>, authorizer: &Arc<NodeAuthorizer>) {
    for (group, plural) in KINDS {
        let Some(resource) = mainstay_schema::resource(group, "v1", plural) else {
            continue;
        };
        let authorizer = Arc::clone(authorizer);
        let parts = (plural == "pods").then(|| Parts {
            outline: Outline::new(POD_PARTS.iter().copied()),
            same: pod_is_same,
        });
        follow(registry, resource, parts, move |object, gone| {
            authorizer.update(|graph| graph.apply(plural, object, gone));
        });
    }
}

/// Whether a pod's update leaves the graph as it is: most only report a new status. What makes a pod a mirror, its
/// name and its namespace never change.
fn pod_is_same(before: &[u8], since: &[u8]) -> bool {
    let spec = member(since, "spec");
    let claims = |pod| {
        let status = member(pod, "status").unwrap_or_default();
        status
            .windows(CLAIM_STATUS.len())
            .any(|part| part == CLAIM_STATUS)
    };
    spec.is_some() && spec == member(before, "spec") && !claims(before) && !claims(since)
}

/// In the names of all parts of a status that the graph looks at.
const CLAIM_STATUS: &[u8] = b"ClaimStatus";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_new_status_is_no_change_but_new_claims_are() {
        let stored = |pod: serde_json::Value| mainstay_machinery::encode::canonical(&pod);
        let pod = |spec, status| {
            stored(json!({"metadata": {"name": "a"}, "spec": spec, "status": status}))
        };
        let before = pod(json!({"nodeName": "n"}), json!({"phase": "Pending"}));
        let cases = [
            (json!({"nodeName": "n"}), json!({"phase": "Running"}), true),
            (json!({"nodeName": "m"}), json!({"phase": "Pending"}), false),
            (
                json!({"nodeName": "n"}),
                json!({"resourceClaimStatuses": []}),
                false,
            ),
            (
                json!({"nodeName": "n"}),
                json!({"extendedResourceClaimStatus": {}}),
                false,
            ),
        ];
        for (spec, status, same) in cases {
            let since = pod(spec, status);
            assert_eq!(pod_is_same(&before, &since), same);
            assert_eq!(pod_is_same(&since, &before), same);
        }
        assert!(!pod_is_same(b"k8s\0", b"k8s\0"));
    }
}
