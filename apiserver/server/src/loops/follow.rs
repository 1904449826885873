//! Following all objects of a resource, for what must be as current as the caches.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mainstay_apistore::{CacheError, EventKind, Scope, Start, Step, WatchRequest};
use mainstay_machinery::decode::Outline;
use mainstay_schema::Resource;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::registry::{Registry, parse, parse_parts};

/// Pause before a watch that ended is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
/// How long a watch waits for its cache before it says that it does.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What of objects matters to who follows them.
pub(super) struct Parts {
    /// Nothing else is read.
    pub(super) outline: Outline,
    /// Whether nothing in the outline is different between two stored forms of an object.
    pub(super) same: fn(&[u8], &[u8]) -> bool,
}

/// Tells `apply` of every object and every change of it (with `true` when the object is gone), until the registry ends.
/// Of an object only `parts` are read, if they are named.
/// After a gap all objects are told again, and those that went meanwhile as gone: of them only name and namespace.
pub(super) fn follow(
    registry: &Arc<Registry>,
    resource: &'static Resource,
    parts: Option<Parts>,
    apply: impl Fn(&Value, bool) + Send + Sync + 'static,
) {
    let registry = Arc::downgrade(registry);
    tokio::spawn(async move {
        let mut known = Known::new();
        while let Some(registry) = registry.upgrade() {
            let parts = parts.as_ref();
            match watch(&registry, resource, parts, &mut known, &apply).await {
                Err(CacheError::Closed) | Ok(()) => return,
                Err(e) => tracing::debug!("{} are listed anew: {e}", resource.plural),
            }
            drop(registry);
            sleep(RESTART_PAUSE).await;
        }
    });
}

/// Keys of objects that were told of.
type Known = HashSet<Bytes>;

/// `Ok` when the registry ends.
async fn watch(
    registry: &Registry,
    resource: &'static Resource,
    parts: Option<&Parts>,
    known: &mut Known,
    apply: &(impl Fn(&Value, bool) + Sync),
) -> Result<(), CacheError> {
    let request = WatchRequest::new(Scope::All, Start::Initial);
    let until = Instant::now() + PATIENCE;
    let mut watcher = registry.cache(resource).watch(request, until).await?;
    let mut ending = registry.ending.clone();
    // What is not told of again has gone while nobody watched. If that is interrupted, it still counts as known.
    let mut missing: HashSet<Bytes> = known.clone();
    loop {
        let step = tokio::select! {
            step = watcher.next() => step?,
            _ = ending.changed() => return Ok(()),
        };
        match step {
            Step::InitialEnd(_) => {
                for key in missing.drain() {
                    if known.remove(&key) {
                        apply(&place(registry, resource, &key), true);
                    }
                }
            }
            Step::Bookmark(_) => {}
            Step::Events(events) => {
                for delivery in events {
                    let key = &delivery.object().key;
                    let gone = delivery.kind() == EventKind::Deleted;
                    missing.remove(key);
                    let value = &delivery.object().value;
                    if let (Some(parts), Some(previous)) = (parts, delivery.previous())
                        && (parts.same)(&previous.value, value)
                    {
                        continue;
                    }
                    let object = match parts {
                        Some(parts) => parse_parts(value, &parts.outline),
                        None => parse(delivery.object()),
                    };
                    let Some(object) = object else {
                        continue;
                    };
                    match gone {
                        true => known.remove(key),
                        false => known.insert(key.clone()),
                    };
                    apply(&object, gone);
                }
            }
        }
    }
}

/// As little of an object as says that it is gone.
fn place(registry: &Registry, resource: &Resource, key: &Bytes) -> Value {
    let key = String::from_utf8_lossy(key);
    let prefix = registry.keys.prefix(resource);
    let rest = key.strip_prefix(&prefix).unwrap_or(&key);
    let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
    json!({ "metadata": { "namespace": namespace, "name": name } })
}
