//! One kind, listed and watched once for everybody who asks.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use futures_util::StreamExt as _;
use http::Request;
use kube::client::Body;
use kube::runtime::watcher::{self, Event, ListSemantic};
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;
use tower::service_fn;

use crate::cache::{Cache, Index};
use crate::key::Key;
use crate::limits::{LIST_PAGE, WATCH_PAUSE_MAX, WATCH_PAUSE_MIN, WATCH_SECONDS};
use crate::queue::Queue;
use crate::trouble::Trouble;

/// What happened to an object; the cache shows it already.
#[derive(Debug)]
pub enum Change<'a, K> {
    Added(&'a Arc<K>),
    Updated {
        old: &'a Arc<K>,
        new: &'a Arc<K>,
    },
    /// With the last state that was seen: the one it was deleted in may be newer.
    Deleted(&'a Arc<K>),
}

impl<'a, K> Change<'a, K> {
    /// The object as it is now, or was last.
    #[must_use]
    pub fn object(&self) -> &'a Arc<K> {
        match self {
            Change::Added(object) | Change::Deleted(object) => object,
            Change::Updated { new, .. } => new,
        }
    }
}

/// Kinds that informers can follow: all of k8s-openapi's.
pub trait Kind:
    Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static
{
}

type Handler<K> = Box<dyn Fn(Change<'_, K>) + Send + Sync>;

/// Follows one kind. Handlers are called one after another, in the order of the server's events for each object;
/// they hold up all others and must do no more than put a name into a queue.
pub struct Informer<K> {
    cache: Cache<K>,
    handlers: Mutex<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
    progress: Mutex<Progress>,
    trouble: Trouble,
}

/// How far the cache is.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The newest change that was seen.
    revision: u64,
    /// Lists that were begun,
    begun: u64,
    /// and the number of the last one that is complete.
    listed: u64,
}

/// A write that a cache is to show: it does once it has seen this revision or a later one, or once a list that was
/// begun after the write is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    revision: u64,
    begun: u64,
}

impl<K> fmt::Debug for Informer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informer")
            .field("cache", &self.cache)
            .field("synced", &*self.synced.borrow())
            .finish_non_exhaustive()
    }
}

impl<K> Default for Informer<K> {
    fn default() -> Self {
        Self {
            cache: Cache::default(),
            handlers: Mutex::default(),
            synced: watch::channel(false).0,
            progress: Mutex::default(),
            trouble: Trouble::default(),
        }
    }
}

impl<K: Kind> Informer<K> {
    #[must_use]
    pub fn cache(&self) -> &Cache<K> {
        &self.cache
    }

    /// Adds an index to the cache.
    pub fn index_by(&self, name: &'static str, values: Index<K>) {
        self.cache.index_by(name, values);
    }

    /// Calls `handler` for what is there and for every change from now on.
    pub fn on(&self, handler: impl Fn(Change<'_, K>) + Send + Sync + 'static) {
        // Changes wait meanwhile: the handler misses none and gets none twice.
        let mut handlers = self.handlers.lock();
        for object in self.cache.all() {
            handler(Change::Added(&object));
        }
        handlers.push(Box::new(handler));
    }

    /// As [`Informer::on`], with an owner of the handler.
    pub fn on_for<C: Send + Sync + 'static>(
        &self,
        owner: &Arc<C>,
        handler: impl Fn(&C, &Change<'_, K>) + Send + Sync + 'static,
    ) {
        let owner = Arc::clone(owner);
        self.on(move |change| handler(&owner, &change));
    }

    /// Puts the name of whatever changes into a queue.
    pub fn names_into(&self, queue: &Queue<Key>) {
        let queue = queue.clone();
        self.on(move |change| queue.add(Key::of(change.object().as_ref())));
    }

    /// Puts the name of what is there and `wanted` into a queue: not of what is deleted.
    pub fn names_of(
        &self,
        queue: &Queue<Key>,
        wanted: impl Fn(&K) -> bool + Send + Sync + 'static,
    ) {
        let queue = queue.clone();
        self.on(move |change| {
            let object = change.object();
            if !matches!(change, Change::Deleted(_)) && wanted(object) {
                queue.add(Key::of(object.as_ref()));
            }
        });
    }

    /// Whether the first list is complete.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Waits for the first list to be complete; for ever, if the server does not answer.
    pub async fn synced(&self) {
        // The sender lives as long as this informer.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Why it cannot be followed, if it cannot.
    pub(crate) fn check(&self) -> Result<(), String> {
        let kind = K::kind(&());
        match self.trouble.told(Instant::now(), !self.is_synced()) {
            Some(why) => Err(format!("{kind} cannot be listed or watched: {why}")),
            None => Ok(()),
        }
    }

    /// The place of a write in what this informer sees; `written` is the server's answer to it.
    #[must_use]
    pub fn mark(&self, written: &K) -> Mark {
        Mark {
            revision: revision(written),
            begun: self.progress.lock().begun,
        }
    }

    /// Whether the cache shows a write.
    #[must_use]
    pub fn has_reached(&self, mark: Mark) -> bool {
        let progress = self.progress.lock();
        progress.revision >= mark.revision || progress.listed > mark.begun
    }

    fn applied(&self, object: K) {
        let revision = revision(&object);
        self.put(object);
        // Only now: whoever sees the progress must find the object.
        let mut progress = self.progress.lock();
        progress.revision = progress.revision.max(revision);
    }

    fn put(&self, object: K) {
        let object = Arc::new(object);
        let handlers = self.handlers.lock();
        let old = self.cache.put(&object);
        match &old {
            Some(old) if same(old.as_ref(), object.as_ref(), |m| &m.resource_version) => {}
            Some(old) if same(old.as_ref(), object.as_ref(), |m| &m.uid) => {
                tell(&handlers, || Change::Updated { old, new: &object });
            }
            // Deleted and made again while nobody looked: two objects, of which only the name is the same.
            Some(old) => {
                tell(&handlers, || Change::Deleted(old));
                tell(&handlers, || Change::Added(&object));
            }
            None => tell(&handlers, || Change::Added(&object)),
        }
    }

    fn deleted(&self, key: &Key, last: Option<K>) {
        let revision = last.as_ref().map_or(0, revision);
        self.remove(key, last);
        let mut progress = self.progress.lock();
        progress.revision = progress.revision.max(revision);
    }

    fn remove(&self, key: &Key, last: Option<K>) {
        let handlers = self.handlers.lock();
        if let Some(old) = self.cache.remove(key) {
            let last = last.map_or(old, Arc::new);
            tell(&handlers, || Change::Deleted(&last));
        }
    }

    /// After a list: what it did not have is gone.
    fn listed(&self, seen: &HashSet<Key>) {
        for key in self.cache.keys() {
            if !seen.contains(&key) {
                self.deleted(&key, None);
            }
        }
        let mut progress = self.progress.lock();
        progress.listed = progress.begun;
        drop(progress);
        self.synced.send_replace(true);
    }

    /// Follows the server until the task is dropped.
    pub(crate) async fn run(
        self: Arc<Self>,
        client: Client,
        fields: Option<String>,
        trim: fn(&mut K),
    ) {
        let mut seen = HashSet::new();
        let mut pause = WATCH_PAUSE_MIN;
        let mut config = config();
        config.field_selector = fields;
        let client = self.noticing(client);
        let mut events = watcher::watcher(Api::<K>::all(client), config).boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(mut event) => {
                    pause = WATCH_PAUSE_MIN;
                    if let Event::InitApply(o) | Event::Apply(o) | Event::Delete(o) = &mut event {
                        trim(o);
                    }
                    self.take(event, &mut seen);
                }
                Err(error) => {
                    tracing::warn!(kind = %K::kind(&()), "watching: {error}");
                    self.trouble.failed(Instant::now(), &error);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(WATCH_PAUSE_MAX);
                }
            }
        }
    }

    /// The same client; what the server agrees to is noticed, since a watch may say nothing for long.
    fn noticing(self: &Arc<Self>, client: Client) -> Client {
        let (informer, inner) = (Arc::clone(self), client.clone());
        let service = service_fn(move |request: Request<Body>| {
            let (informer, inner) = (Arc::clone(&informer), inner.clone());
            async move {
                let answer = inner.send(request).await?;
                if answer.status().is_success() {
                    informer.trouble.agreed(Instant::now());
                }
                Ok::<_, kube::Error>(answer)
            }
        });
        Client::new(service, client.default_namespace().to_owned())
    }

    fn take(&self, event: Event<K>, seen: &mut HashSet<Key>) {
        if !matches!(event, Event::Init) {
            self.trouble.ends();
        }
        match event {
            Event::Init => {
                seen.clear();
                self.progress.lock().begun += 1;
            }
            Event::InitApply(object) => {
                seen.insert(Key::of(&object));
                // A page: what is older than its newest object may be in another one.
                self.put(object);
            }
            Event::InitDone => {
                self.listed(seen);
                *seen = HashSet::new();
            }
            Event::Apply(object) => self.applied(object),
            Event::Delete(object) => self.deleted(&Key::of(&object), Some(object)),
        }
    }
}

/// Lists are consistent ones, never "whatever you have": a server that lags must not take a component back in time
/// (Kubernetes issue 59848).
pub(crate) fn config() -> watcher::Config {
    watcher::Config {
        list_semantic: ListSemantic::MostRecent,
        page_size: Some(LIST_PAGE),
        timeout: Some(WATCH_SECONDS),
        ..watcher::Config::default()
    }
}

/// Revisions are numbers that grow, over all objects of a kind (Kubernetes promises so since 1.35).
fn revision<K: Resource>(object: &K) -> u64 {
    let version = object.meta().resource_version.as_deref();
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

type Meta = kube::core::ObjectMeta;

fn same<K: Resource, T: PartialEq>(a: &K, b: &K, part: impl Fn(&Meta) -> &Option<T>) -> bool {
    let (a, b) = (part(a.meta()), part(b.meta()));
    a.is_some() && a == b
}

fn tell<'a, K: 'static>(handlers: &[Handler<K>], change: impl Fn() -> Change<'a, K>) {
    for handler in handlers {
        handler(change());
    }
}
