//! What the node authorizer must know: which pods are on which node, and what hangs on them.

use std::sync::Arc;

use mainstay_auth::node::{NodeAuthorizer, POD_PARTS};
use mainstay_machinery::decode::Outline;

use super::follow::follow;
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
        let parts = (plural == "pods").then(|| Outline::new(POD_PARTS.iter().copied()));
        follow(registry, resource, parts, move |object, gone| {
            authorizer.update(|graph| graph.apply(plural, object, gone));
        });
    }
}
