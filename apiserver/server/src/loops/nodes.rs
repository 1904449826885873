//! What the node authorizer must know: which pods are on which node, and what hangs on them.

use std::sync::Arc;
use std::time::Duration;

use mainstay_apistore::{CacheError, EventKind, Scope, Start, Step, WatchRequest};
use mainstay_auth::node::NodeAuthorizer;
use mainstay_schema::Resource;
use tokio::time::{Instant, sleep};

use crate::registry::Registry;

/// Pause before a watch that ended is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

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
        let (registry, authorizer) = (Arc::downgrade(registry), Arc::clone(authorizer));
        tokio::spawn(async move {
            while let Some(registry) = registry.upgrade() {
                let fed = feed(&registry, &authorizer, resource).await;
                if let Err(CacheError::Closed) = fed {
                    return;
                }
                drop(registry);
                sleep(RESTART_PAUSE).await;
            }
        });
    }
}

async fn feed(
    registry: &Registry,
    authorizer: &NodeAuthorizer,
    resource: &'static Resource,
) -> Result<(), CacheError> {
    let request = WatchRequest::new(Scope::All, Start::Initial);
    let until = Instant::now() + Duration::from_secs(3600);
    let mut watcher = registry.cache(resource).watch(request, until).await?;
    let mut ending = registry.ending.clone();
    loop {
        let step = tokio::select! {
            step = watcher.next() => step?,
            _ = ending.changed() => return Err(CacheError::Closed),
        };
        let Step::Events(events) = step else {
            continue;
        };
        authorizer.update(|graph| {
            for delivery in events {
                let Some(object) = registry.parse(resource, delivery.object()) else {
                    continue;
                };
                let gone = delivery.kind() == EventKind::Deleted;
                graph.apply(resource.plural, &object, gone);
            }
        });
    }
}
