//! Keeps a cache equal to the store: list once, then follow the watch.

use super::core::{Change, Content};
use super::object::Object;
use super::resource::Shared;
use crate::client::{Failure, Stored, Watch, WatchConfig, WatchEvent, WatchItem};
use crate::limits::{
    CATCH_UP_DEADLINE, HISTORY_ATTEMPTS_MAX, HISTORY_REVISIONS, PROGRESS_INTERVAL, PROGRESS_RETRY,
    RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN, WATCH_CREATE_DEADLINE,
};
use bytes::Bytes;
use hashbrown::HashSet;
use mainstay_apiplanted::{Mistake, makes};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout};

/// A full list of the resource.
pub(crate) struct Listed {
    pub(crate) objects: Vec<Arc<Object>>,
    pub(crate) foreign: HashSet<Bytes>,
    pub(crate) revision: i64,
}

/// Runs until the cache is dropped.
pub(crate) async fn run(shared: Arc<Shared>) {
    let (mut delay, mut history) = (RECONNECT_DELAY_MIN, true);
    loop {
        match begin(&shared, history).await {
            Ok((listed, ready_at)) => {
                (delay, history) = (RECONNECT_DELAY_MIN, false);
                follow(&shared, listed, ready_at).await;
            }
            Err(failure) => {
                let prefix = &shared.config.prefix;
                tracing::warn!(?prefix, %failure, "the store cannot be listed");
                *shared.trouble.lock() = failure.to_string();
                sleep(delay).await;
                delay = (delay * 2).min(RECONNECT_DELAY_MAX);
            }
        }
    }
}

/// The list to begin with, and the revision from which on the cache may serve.
///
/// A new cache begins in the past and follows the watch to the present: then its ring has what clients of the process
/// before it, or of another that died, have not seen yet, and they need not list anew.
async fn begin(shared: &Shared, history: bool) -> Result<(Listed, i64), Failure> {
    if history && shared.client.has_ordered_progress().await {
        let now = shared.client.current_revision().await?;
        let mut from = (now - HISTORY_REVISIONS).max(1);
        // The past may be shorter than that, and becomes shorter while it is asked for.
        for _ in 0..HISTORY_ATTEMPTS_MAX {
            match list(shared, from).await {
                Ok(listed) if makes(Mistake::BackAfterStart) => return Ok((listed, from)),
                Ok(listed) => return Ok((listed, now.max(from))),
                Err(Failure::Compacted) => {}
                Err(failure) => return Err(failure),
            }
            let Some(oldest) = oldest(shared, from).await else {
                break;
            };
            from = oldest;
        }
    }
    let listed = list(shared, 0).await?;
    let revision = listed.revision;
    Ok((listed, revision))
}

/// The first revision that can still be read, if `from` cannot: only a watch is told which.
async fn oldest(shared: &Shared, from: i64) -> Option<i64> {
    let mut watch = shared.client.watch(WatchConfig {
        prefix: shared.config.prefix.clone(),
        after: from - 1,
        previous: false,
    });
    match timeout(WATCH_CREATE_DEADLINE, watch.next()).await {
        Ok(Some(WatchItem::Compacted { oldest })) => Some(oldest),
        _ => None,
    }
}

/// Reads all objects as of a revision, 0 for now.
pub(crate) async fn list(shared: &Shared, at: i64) -> Result<Listed, Failure> {
    let (mut objects, mut foreign) = (Vec::new(), HashSet::new());
    let add = |page: Vec<Stored>| {
        for stored in page {
            let key = stored.key.clone();
            match content(shared, &stored) {
                Content::Object(object) => objects.push(object),
                _ => drop(foreign.insert(Bytes::copy_from_slice(&key))),
            }
        }
    };
    let revision = shared.client.list(&shared.config.prefix, at, add).await?;
    Ok(Listed {
        objects,
        foreign,
        revision,
    })
}

/// Serves from a list on, until the store can no longer say what has changed since.
async fn follow(shared: &Shared, listed: Listed, ready_at: i64) {
    let revision = listed.revision;
    let watch = shared.client.watch(WatchConfig {
        prefix: shared.config.prefix.clone(),
        after: revision,
        // The cache knows what was before.
        previous: false,
    });
    let ended = shared
        .core
        .write()
        .replace(listed.objects, listed.foreign, revision);
    *shared.control.lock() = Some(watch.control());
    shared.past.clear();
    shared.counters.lists.fetch_add(1, Ordering::Relaxed);
    let mut following = Following {
        shared,
        watch,
        ready_at,
    };
    following.publish(revision);
    ended.iter().for_each(|group| group.wake());
    if let Err(reason) = following.until_lost().await {
        let prefix = &shared.config.prefix;
        tracing::warn!(?prefix, reason, "the store must be listed anew");
    }
}

/// A cache that follows the store.
struct Following<'a> {
    shared: &'a Shared,
    watch: Watch,
    /// The cache serves nobody before it is here.
    ready_at: i64,
}

impl Following<'_> {
    async fn until_lost(&mut self) -> Result<(), String> {
        let end = Instant::now() + CATCH_UP_DEADLINE;
        let mut ticks = self.ticks(PROGRESS_RETRY);
        while self.shared.core.read().revision() < self.ready_at {
            if Instant::now() >= end {
                return Err("the past could not be followed to the present".into());
            }
            tokio::select! {
                item = self.watch.next() => self.read(item)?,
                _ = ticks.tick() => drop(self.shared.request_progress()),
            }
        }
        let mut ticks = self.ticks(PROGRESS_INTERVAL);
        let mut last = self.shared.published();
        loop {
            tokio::select! {
                item = self.watch.next() => self.read(item)?,
                _ = ticks.tick() => {
                    let now = std::time::Instant::now();
                    self.shared.core.write().trim(now);
                    self.shared.past.trim(now);
                    // Where events come, progress is known anyway.
                    if self.shared.published() == last {
                        self.shared.request_progress();
                    }
                    last = self.shared.published();
                }
            }
        }
    }

    fn ticks(&self, every: Duration) -> Interval {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    fn read(&self, item: Option<WatchItem>) -> Result<(), String> {
        match item {
            Some(WatchItem::Events(events)) => self.apply(events),
            Some(WatchItem::Progress(revision)) => {
                self.shared.core.write().progress(revision);
                self.publish(revision);
            }
            Some(WatchItem::Compacted { oldest }) => {
                return Err(format!("compacted up to {oldest}"));
            }
            Some(WatchItem::Reset(reason)) => return Err(reason),
            None => return Err("the watch ended".into()),
        }
        Ok(())
    }

    fn apply(&self, events: Vec<WatchEvent>) {
        // Decoded before the lock is taken.
        let changes: Vec<_> = events
            .into_iter()
            .map(|event| Change {
                revision: event.revision,
                to: event
                    .value
                    .as_ref()
                    .map_or(Content::Nothing, |stored| content(self.shared, stored)),
                key: Bytes::copy_from_slice(&event.key),
            })
            .collect();
        let Some(revision) = changes.last().map(|change| change.revision) else {
            return;
        };
        let now = std::time::Instant::now();
        let touched = self.shared.core.write().apply(changes, now);
        self.publish(revision);
        touched.iter().for_each(|group| group.wake());
    }

    /// Makes known that everything up to a revision is with the groups.
    fn publish(&self, revision: i64) {
        if revision >= self.ready_at {
            self.shared.published.store(revision, Ordering::Release);
            self.shared.revision.send_replace(revision);
        }
    }
}

/// The object in a value, if it is one.
pub(crate) fn object(shared: &Shared, stored: &Stored) -> Option<Arc<Object>> {
    match content(shared, stored) {
        Content::Object(object) => Some(object),
        _ => None,
    }
}

/// Reads a value into memory of its own: the bytes of an answer live as long as any part of them.
fn content(shared: &Shared, stored: &Stored) -> Content {
    let key = Bytes::copy_from_slice(&stored.key);
    let value = Bytes::copy_from_slice(&stored.value);
    let decode = AssertUnwindSafe(|| (shared.config.decode)(&key, &value));
    // A mistake of the decoder must cost one object, not the cache: this task is the only one that feeds it.
    match catch_unwind(decode) {
        Ok(Some((value, attributes))) => Content::Object(Arc::new(Object {
            key,
            revision: stored.revision,
            value,
            attributes,
        })),
        Ok(None) => {
            tracing::warn!(
                ?key,
                "a value in the store is not an object of its resource"
            );
            Content::Foreign
        }
        Err(_) => {
            tracing::error!(?key, "the decoder panicked; the object is left out");
            Content::Foreign
        }
    }
}
