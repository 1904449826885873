//! Single objects, watched by name as long as a pod of this node refers to them.
//!
//! The Node authorizer lets a node read the objects that its pods name and no others, so there is a watch for each
//! and none for a kind. One that says it never changes is not watched any further.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use futures_util::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::watcher::{self, Event, ListSemantic};
use kube::{Api, Client, Resource};
use mainstay_client::Key;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::limits::{OBJECT_DEADLINE, OBJECT_PAUSE_MAX, OBJECT_PAUSE_MIN, OBJECTS_MAX};

/// Kinds that pods refer to by name.
pub(super) trait Referenced:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + fmt::Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// As in messages.
    const WORD: &'static str;
    fn is_immutable(&self) -> bool;
}

impl Referenced for ConfigMap {
    const WORD: &'static str = "configmap";
    fn is_immutable(&self) -> bool {
        self.immutable == Some(true)
    }
}

impl Referenced for Secret {
    const WORD: &'static str = "secret";
    fn is_immutable(&self) -> bool {
        self.immutable == Some(true)
    }
}

/// What is known of an object.
#[derive(Clone)]
enum Known<K> {
    /// Nothing yet, and why.
    Nothing(Option<String>),
    Absent,
    Present(Arc<K>),
}

struct Entry<K> {
    /// Uids of the pods that refer to it.
    users: HashSet<String>,
    known: watch::Receiver<Known<K>>,
    task: AbortHandle,
}

impl<K> Drop for Entry<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All watched objects of a kind.
pub(super) struct Watched<K> {
    client: Client,
    entries: Mutex<HashMap<Key, Entry<K>>>,
    /// Counts changes.
    changed: Arc<watch::Sender<u64>>,
}

impl<K> fmt::Debug for Watched<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.lock().len();
        f.debug_struct("Watched")
            .field("entries", &entries)
            .finish_non_exhaustive()
    }
}

impl<K: Referenced> Watched<K> {
    pub(super) fn new(client: Client, changed: Arc<watch::Sender<u64>>) -> Self {
        Self {
            client,
            entries: Mutex::default(),
            changed,
        }
    }

    /// From now on a pod refers to these objects of its namespace and to no others. Must be called within a runtime.
    pub(super) fn refer<'a>(
        &self,
        uid: &str,
        namespace: &str,
        names: impl Iterator<Item = &'a String>,
    ) {
        let wanted: HashSet<_> = names.map(|name| Key::new(namespace, name)).collect();
        let mut entries = self.entries.lock();
        for key in &wanted {
            if !entries.contains_key(key) {
                if entries.len() >= OBJECTS_MAX {
                    tracing::warn!(%key, "not watched: {OBJECTS_MAX} objects are");
                    continue;
                }
                entries.insert(key.clone(), self.watch(key));
            }
            if let Some(entry) = entries.get_mut(key) {
                entry.users.insert(uid.to_owned());
            }
        }
        entries.retain(|key, entry| {
            if !wanted.contains(key) {
                entry.users.remove(uid);
            }
            !entry.users.is_empty()
        });
    }

    /// The object, or none if there is none.
    ///
    /// # Errors
    /// If the apiserver does not say.
    pub(super) async fn get(&self, namespace: &str, name: &str) -> Result<Option<Arc<K>>, String> {
        let key = Key::new(namespace, name);
        let known = self
            .entries
            .lock()
            .get(&key)
            .map(|entry| entry.known.clone());
        let Some(mut known) = known else {
            return Err(format!("object {namespace:?}/{name:?} not registered"));
        };
        let answered = known.wait_for(|known| !matches!(known, Known::Nothing(None)));
        let state = match timeout(OBJECT_DEADLINE, answered).await {
            Ok(Ok(state)) => (*state).clone(),
            _ => Known::Nothing(None),
        };
        match state {
            Known::Present(object) => Ok(Some(object)),
            Known::Absent => Ok(None),
            Known::Nothing(why) => Err(why.unwrap_or_else(|| {
                format!(
                    "failed to sync {} cache: timed out waiting for the condition",
                    K::WORD
                )
            })),
        }
    }

    fn watch(&self, key: &Key) -> Entry<K> {
        let (sender, known) = watch::channel(Known::Nothing(None));
        let api = Api::namespaced(self.client.clone(), &key.namespace);
        let task = follow(api, key.name.clone(), sender, Arc::clone(&self.changed));
        Entry {
            users: HashSet::new(),
            known,
            task: tokio::spawn(task).abort_handle(),
        }
    }
}

/// Until it is aborted, or the object is one that never changes.
async fn follow<K: Referenced>(
    api: Api<K>,
    name: String,
    known: watch::Sender<Known<K>>,
    changed: Arc<watch::Sender<u64>>,
) {
    let config = watcher::Config {
        list_semantic: ListSemantic::MostRecent,
        ..watcher::Config::default().fields(&format!("metadata.name={name}"))
    };
    let mut pause = OBJECT_PAUSE_MIN;
    let mut listed = None;
    let mut events = watcher::watcher(api, config).boxed();
    while let Some(event) = events.next().await {
        let state = match event {
            Ok(Event::Init) => {
                listed = None;
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listed = Some(object);
                continue;
            }
            Ok(Event::InitDone) => match listed.take() {
                Some(object) => Known::Present(Arc::new(object)),
                None => Known::Absent,
            },
            Ok(Event::Apply(object)) => Known::Present(Arc::new(object)),
            Ok(Event::Delete(_)) => Known::Absent,
            Err(error) => {
                // What was known stays so: a server that is away takes no pod's files away.
                known.send_if_modified(|known| {
                    let nothing = matches!(known, Known::Nothing(_));
                    if nothing {
                        *known = Known::Nothing(Some(error.to_string()));
                    }
                    nothing
                });
                tracing::debug!(kind = K::WORD, name, "watching: {error}");
                sleep(pause).await;
                pause = (pause * 2).min(OBJECT_PAUSE_MAX);
                continue;
            }
        };
        pause = OBJECT_PAUSE_MIN;
        let last = matches!(&state, Known::Present(object) if object.is_immutable());
        known.send_replace(state);
        changed.send_modify(|count| *count = count.wrapping_add(1));
        if last {
            // Its last state stays in the channel as long as this task does.
            known.closed().await;
            return;
        }
    }
}
