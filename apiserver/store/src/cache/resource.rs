//! The cache of one resource, joined to a store.

use super::consistent::{Rounds, Settled};
use super::core::Core;
use super::list::{CacheError, Freshness};
use super::object::{Decode, Object};
use super::past::PastViews;
use super::reflector;
use super::ring::RingLimits;
use super::scope::Scope;
use super::stats::CacheStats;
use super::view::View;
use super::watcher::{Start, WatchRequest, Watcher};
use crate::client::{Client, PageRequest, WatchControl};
use crate::limits::{FUTURE_WAIT_MAX, PROGRESS_RETRY};
use bytes::Bytes;
use mainstay_apiplanted::{FUTURE, Mistake, makes};
use parking_lot::{Mutex, RwLock};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// What a cache holds.
#[derive(Clone)]
pub struct CacheConfig {
    /// All keys of the resource begin with this, which ends in a slash: `/registry/pods/`.
    pub prefix: Bytes,
    /// Reads objects.
    pub decode: Decode,
    /// How many events to keep.
    pub ring: RingLimits,
}

impl fmt::Debug for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheConfig")
            .field("prefix", &self.prefix)
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}

/// The objects of one resource with their latest events, kept current by one watch of the store.
///
/// Dropping it ends its watchers with [`CacheError::Closed`].
#[derive(Debug)]
pub struct ResourceCache {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// A page of objects that did not come from the cache.
#[derive(Clone, Debug)]
pub struct StorePage {
    /// The objects, in key order.
    pub objects: Vec<Arc<Object>>,
    /// The revision of the list.
    pub revision: i64,
    /// How many more keys follow.
    pub remaining: i64,
    /// The key after which the next page begins.
    pub last: Option<Bytes>,
}

pub(crate) struct Shared {
    pub(crate) config: CacheConfig,
    pub(crate) client: Client,
    pub(crate) core: RwLock<Core>,
    /// Everything up to here has been handed to the groups. Written by the reflector only, after the fact.
    pub(crate) published: AtomicI64,
    /// The same for who waits; 0 until the first list.
    pub(crate) revision: watch::Sender<i64>,
    pub(crate) control: Mutex<Option<WatchControl>>,
    /// Why the store could not be listed, while that is so.
    pub(crate) trouble: Mutex<String>,
    pub(crate) rounds: Rounds,
    pub(crate) past: PastViews,
    pub(crate) counters: Counters,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) lists: AtomicU64,
    pub(crate) rounds: AtomicU64,
    pub(crate) consistent_reads: AtomicU64,
    pub(crate) direct_lists: AtomicU64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

impl ResourceCache {
    /// Starts filling a cache. Must be called within a tokio runtime.
    pub fn start(client: Client, config: CacheConfig) -> Self {
        let shared = Arc::new(Shared {
            core: RwLock::new(Core::new(config.prefix.clone(), config.ring)),
            config,
            client,
            published: AtomicI64::new(0),
            revision: watch::channel(0).0,
            control: Mutex::new(None),
            trouble: Mutex::new("the store has not been listed yet".into()),
            rounds: Rounds::default(),
            past: PastViews::default(),
            counters: Counters::default(),
        });
        Self {
            task: tokio::spawn(reflector::run(shared.clone())),
            shared,
        }
    }

    /// Waits until the first list is complete.
    pub async fn ready(&self, until: Instant) -> Result<(), CacheError> {
        let reached = self.shared.wait_for(1, until).await;
        reached.map_err(|_| CacheError::NotReady(self.shared.trouble.lock().clone()))
    }

    /// The revision up to which the cache knows everything; 0 before the first list.
    pub fn revision(&self) -> i64 {
        self.shared.published()
    }

    /// A list of a scope.
    ///
    /// [`Freshness::Exact`] is served for revisions whose later events are all in the ring; others are
    /// [`CacheError::TooOld`] or [`CacheError::StoreOnly`] and can be read from the store.
    pub async fn list(
        &self,
        scope: &Scope,
        freshness: Freshness,
        until: Instant,
    ) -> Result<View, CacheError> {
        self.ready(until).await?;
        let shared = &self.shared;
        match freshness {
            Freshness::Any => Ok(shared.view(scope)),
            Freshness::NotOlderThan(revision) => {
                let settled = shared.reach(revision, until).await?;
                Ok(shared.settled_view(&settled, scope))
            }
            Freshness::Exact(revision) => {
                if shared.published() < revision
                    && let Settled::Captured { .. } = shared.reach(revision, until).await?
                {
                    // The store is there, but does not tell how it came there: what the cache has may differ.
                    return Err(CacheError::StoreOnly(revision));
                }
                shared.past_view(scope, revision)
            }
            Freshness::Consistent if makes(Mistake::StaleList) => Ok(shared.view(scope)),
            Freshness::Consistent if makes(Mistake::FutureList) => {
                let settled = shared.consistent(until).await?;
                let (objects, _) = shared.core.read().content();
                let revision = settled.revision(shared) + FUTURE;
                let prefix = &shared.config.prefix;
                Ok(View::filtered(objects, scope, prefix, revision))
            }
            Freshness::Consistent if makes(Mistake::ListAhead) => {
                let (objects, _) = shared.core.read().content();
                let revision = shared.consistent(until).await?.revision(shared);
                let prefix = &shared.config.prefix;
                Ok(View::filtered(objects, scope, prefix, revision))
            }
            Freshness::Consistent => {
                let settled = shared.consistent(until).await?;
                Ok(shared.settled_view(&settled, scope))
            }
        }
    }

    /// What the cache has at this moment, which is nothing before its first list.
    pub fn now(&self, scope: &Scope) -> View {
        self.shared.view(scope)
    }

    /// Starts a watch.
    pub async fn watch(
        &self,
        request: WatchRequest,
        until: Instant,
    ) -> Result<Watcher, CacheError> {
        self.ready(until).await?;
        let settled = match request.start {
            Start::InitialAsOf(freshness) => self.shared.settle(freshness, until).await?,
            Start::Initial | Start::After(_) => Settled::Reached,
        };
        Watcher::new(&self.shared, request, settled)
    }

    /// A page of objects read from the store itself, for revisions that the cache no longer has.
    ///
    /// `limit` counts keys in the store; 0 is all. Objects of another index value are left out.
    pub async fn page_from_store(
        &self,
        scope: &Scope,
        after: Option<Bytes>,
        limit: i64,
        revision: i64,
    ) -> Result<StorePage, CacheError> {
        let request = PageRequest {
            prefix: scope.prefix(&self.shared.config.prefix),
            after,
            limit,
            revision,
            ..Default::default()
        };
        let page = self.shared.client.page(&request).await?;
        let last = page.items.last().map(|stored| stored.key.clone());
        let read = page
            .items
            .iter()
            .filter_map(|stored| reflector::object(&self.shared, stored));
        let prefix_len = self.shared.config.prefix.len();
        Ok(StorePage {
            objects: read.filter(|o| scope.contains(o, prefix_len)).collect(),
            revision: if revision > 0 {
                revision
            } else {
                page.revision
            },
            remaining: page.remaining,
            last,
        })
    }

    /// Figures for metrics.
    pub fn stats(&self) -> CacheStats {
        let shared = &self.shared;
        let control = shared.control.lock().clone();
        let counters = &shared.counters;
        let core = shared.core.read();
        CacheStats {
            objects: core.content().0.len(),
            watchers: core.groups().watchers(),
            ring_events: core.ring().len(),
            ring_bytes: core.ring().bytes(),
            revision: shared.published(),
            oldest: core.ring().floor(),
            connected: control.as_ref().is_some_and(WatchControl::is_connected),
            losses: control.as_ref().map_or(0, WatchControl::losses),
            lists: counters.lists.load(Ordering::Relaxed),
            rounds: counters.rounds.load(Ordering::Relaxed),
            consistent_reads: counters.consistent_reads.load(Ordering::Relaxed),
            direct_lists: counters.direct_lists.load(Ordering::Relaxed),
        }
    }
}

impl Drop for ResourceCache {
    fn drop(&mut self) {
        self.task.abort();
        let groups = self
            .shared
            .core
            .write()
            .groups_mut()
            .close(&CacheError::Closed);
        groups.iter().for_each(|group| group.wake());
    }
}

impl Shared {
    pub(crate) fn published(&self) -> i64 {
        self.published.load(Ordering::Acquire)
    }

    pub(crate) fn view(&self, scope: &Scope) -> View {
        self.core.read().view(scope)
    }

    /// Waits until everything up to a revision is known.
    pub(crate) async fn wait_for(&self, revision: i64, until: Instant) -> Result<(), CacheError> {
        if self.published() >= revision {
            return Ok(());
        }
        let mut known = self.revision.subscribe();
        let reached = timeout_at(until, known.wait_for(|known| *known >= revision)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(CacheError::Closed),
            Err(_) => Err(CacheError::TooLarge {
                requested: revision,
                current: self.published(),
            }),
        }
    }

    /// Waits, for as long as a future revision is worth waiting for, until it is known.
    async fn reach(self: &Arc<Self>, revision: i64, until: Instant) -> Result<Settled, CacheError> {
        let until = until.min(Instant::now() + FUTURE_WAIT_MAX);
        let mut pause = PROGRESS_RETRY;
        loop {
            let asked = self.request_progress();
            let step = until.min(Instant::now() + pause);
            match self.wait_for(revision, step).await {
                Ok(()) => return Ok(Settled::Reached),
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) if asked => {}
                // The store may be there already without telling: ask what it has. That is dear for it, so ever more
                // rarely.
                Err(error) => match self.consistent(until).await {
                    Ok(settled) if settled.revision(self) >= revision => return Ok(settled),
                    Err(_) if Instant::now() >= until => return Err(error),
                    Err(error) => return Err(error),
                    Ok(_) => pause *= 2,
                },
            }
        }
    }

    /// Waits until a state is as current as asked for.
    async fn settle(
        self: &Arc<Self>,
        freshness: Freshness,
        until: Instant,
    ) -> Result<Settled, CacheError> {
        match freshness {
            Freshness::Any => Ok(Settled::Reached),
            Freshness::NotOlderThan(revision) | Freshness::Exact(revision) => {
                self.reach(revision, until).await
            }
            Freshness::Consistent => self.consistent(until).await,
        }
    }

    async fn consistent(self: &Arc<Self>, until: Instant) -> Result<Settled, CacheError> {
        self.counters
            .consistent_reads
            .fetch_add(1, Ordering::Relaxed);
        match timeout_at(until, self.rounds.join(self)).await {
            Ok(settled) => settled,
            Err(_) => Err(CacheError::NotReady(
                "the store did not confirm the current revision in time".into(),
            )),
        }
    }

    pub(crate) fn request_progress(&self) -> bool {
        let control = self.control.lock();
        control.as_ref().is_some_and(WatchControl::request_progress)
    }

    fn settled_view(&self, settled: &Settled, scope: &Scope) -> View {
        match settled {
            Settled::Reached => self.view(scope),
            Settled::Captured { objects, revision } => {
                let prefix = &self.config.prefix;
                View::filtered(objects.clone(), scope, prefix, *revision)
            }
        }
    }

    fn past_view(&self, scope: &Scope, revision: i64) -> Result<View, CacheError> {
        let current = self.published();
        if revision > current {
            let requested = revision;
            return Err(CacheError::TooLarge { requested, current });
        }
        let objects = match self.past.get(revision) {
            Some(objects) => objects,
            None => {
                let past = self.core.read().past(revision)?;
                let objects = past.make();
                self.past.put(revision, objects.clone());
                objects
            }
        };
        let prefix = &self.config.prefix;
        Ok(View::filtered(objects, scope, prefix, revision))
    }
}
