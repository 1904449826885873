//! A watcher: a cursor into the events of its scope. Nothing is queued for it; whoever is slow reads later.

use super::consistent::Settled;
use super::core::Joined;
use super::event::{Delivery, Event};
use super::groups::Group;
use super::list::{CacheError, Freshness};
use super::object::Object;
use super::resource::Shared;
use super::scope::Scope;
use super::view::View;
use crate::limits::{BATCH_OBJECTS_MAX, LAST_BOOKMARK_BEFORE_END};
use mainstay_apiplanted::{AHEAD, Mistake, makes, makes_seldom};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

/// Says which objects a watcher sees, beside its scope.
pub type Filter = Arc<dyn Fn(&Object) -> bool + Send + Sync>;

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what follows a revision, which may lie in the future.
    After(i64),
    /// With the objects the cache has now, as if just added, and then what follows.
    Initial,
    /// The same with objects that are as current as this; an exact revision is one not to be older than.
    InitialAsOf(Freshness),
}

/// What to watch.
#[derive(Clone)]
pub struct WatchRequest {
    /// The part of the resource.
    pub scope: Scope,
    /// Where to begin.
    pub start: Start,
    /// Which objects of the scope.
    pub filter: Option<Filter>,
    /// How often to say which revision is current.
    pub bookmarks: Option<Duration>,
    /// When the reader will end the watch: one more is said [`LAST_BOOKMARK_BEFORE_END`] earlier, so that whoever
    /// comes back begins there.
    pub end: Option<Instant>,
}

impl WatchRequest {
    /// A watch of a whole scope without bookmarks.
    pub fn new(scope: Scope, start: Start) -> Self {
        Self {
            scope,
            start,
            filter: None,
            bookmarks: None,
            end: None,
        }
    }
}

impl fmt::Debug for WatchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchRequest")
            .field("scope", &self.scope)
            .field("start", &self.start)
            .field("filter", &self.filter.is_some())
            .field("bookmarks", &self.bookmarks)
            .finish()
    }
}

/// What a watcher gets.
#[derive(Clone, Debug)]
pub enum Step {
    /// Events in order; never none.
    Events(Vec<Delivery>),
    /// The initial objects are complete as of this revision.
    InitialEnd(i64),
    /// Everything up to this revision has been delivered.
    Bookmark(i64),
}

/// A running watch. It costs a few hundred bytes; dropping it ends it.
pub struct Watcher {
    shared: Arc<Shared>,
    group: Arc<Group>,
    cursor: u64,
    /// The latest revision delivered, or where the watch began.
    last: i64,
    initial: Option<Box<View>>,
    filter: Option<Filter>,
    bookmarks: Option<Bookmarks>,
}

/// When to say which revision is current.
struct Bookmarks {
    every: Duration,
    /// The last one, before the end.
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Bookmarks {
    fn new(every: Duration, end: Option<Instant>) -> Self {
        let last = end.and_then(|end| end.checked_sub(LAST_BOOKMARK_BEFORE_END));
        let mut bookmarks = Self {
            every,
            last,
            due: None,
        };
        bookmarks.plan(Instant::now());
        bookmarks
    }

    fn plan(&mut self, now: Instant) {
        let regular = now + self.every;
        self.due = match self.last {
            None => Some(regular),
            // Nothing is said so shortly before the end.
            Some(last) if last <= now => None,
            Some(last) => Some(regular.min(last)),
        };
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("scope", &self.group.scope)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl Watcher {
    /// `settled` is how current the first objects have to be.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        request: WatchRequest,
        settled: Settled,
    ) -> Result<Self, CacheError> {
        let after = match request.start {
            Start::After(revision) if makes(Mistake::LateWatch) => Some(revision + 1),
            Start::After(revision) => Some(revision),
            Start::Initial | Start::InitialAsOf(_) => None,
        };
        let (joined, last) = {
            let mut core = shared.core.write();
            match settled {
                // The cache does not know this revision yet. What happened up to it will still come, and is in here.
                Settled::Captured { objects, revision }
                    if after.is_none() && revision > core.revision() =>
                {
                    let mut joined = core.join(&request.scope, Some(revision))?;
                    let prefix = &shared.config.prefix;
                    joined.view = View::filtered(objects, &request.scope, prefix, revision);
                    (joined, revision)
                }
                _ => {
                    let joined = core.join(&request.scope, after)?;
                    let last = after.unwrap_or(joined.view.revision());
                    (joined, last)
                }
            }
        };
        let Joined {
            group,
            cursor,
            view,
        } = joined;
        let bookmarks = match makes(Mistake::EarlyBookmark) {
            // More often than the usual minute, or no short run would see one.
            true => request.bookmarks.map(|_| Duration::from_secs(1)),
            false => request.bookmarks,
        };
        Ok(Self {
            shared: shared.clone(),
            group,
            cursor,
            last,
            initial: after.is_none().then(|| Box::new(view)),
            filter: request.filter,
            bookmarks: bookmarks.map(|every| Bookmarks::new(every, request.end)),
        })
    }

    /// The latest revision that has been delivered, or said to be current.
    pub fn revision(&self) -> i64 {
        self.last
    }

    /// The next events. Can be dropped and called again without loss.
    ///
    /// [`CacheError::TooOld`] ends the watch: its reader was slower than the events for too long, or the store has
    /// forgotten what it needed.
    pub async fn next(&mut self) -> Result<Step, CacheError> {
        while let Some(view) = &mut self.initial {
            let (events, done) = initial_batch(view, self.filter.as_ref());
            if !events.is_empty() {
                return Ok(Step::Events(events));
            }
            if done {
                self.initial = None;
                return Ok(Step::InitialEnd(self.last));
            }
            // A filter that lets little through must not hold up others.
            yield_now().await;
        }
        let group = self.group.clone();
        loop {
            let mut changed = pin!(group.changed.notified());
            changed.as_mut().enable();
            if let Some(step) = self.step()? {
                return Ok(step);
            }
            match self.bookmarks.as_ref().and_then(|bookmarks| bookmarks.due) {
                None => changed.await,
                Some(due) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(due) => {}
                },
            }
        }
    }

    /// What can be delivered now.
    fn step(&mut self) -> Result<Option<Step>, CacheError> {
        // Read before the events: all of them up to here are with the group, and whole.
        let published = self.shared.published();
        loop {
            let events = self.group.take(&mut self.cursor, published)?;
            if events.is_empty() {
                break;
            }
            let mut deliveries: Vec<_> = events
                .into_iter()
                .filter_map(|event| self.delivery(event))
                .collect();
            if let Some(latest) = deliveries.last().cloned() {
                self.last = latest.revision();
                if makes_seldom(Mistake::DoubledEvent, self.last) {
                    deliveries.push(latest);
                }
                if makes(Mistake::ReversedEvents) {
                    deliveries.reverse();
                }
                return Ok(Some(Step::Events(deliveries)));
            }
        }
        Ok(self.bookmark(published))
    }

    fn delivery(&self, event: Arc<Event>) -> Option<Delivery> {
        if event.revision <= self.last {
            return None;
        }
        let prefix_len = self.shared.config.prefix.len();
        let filter = self.filter.as_deref();
        let kind = event.kind_for(|object| {
            self.group.scope.contains(object, prefix_len)
                && filter.is_none_or(|filter| filter(object))
        })?;
        Some(Delivery::of_event(kind, event))
    }

    fn bookmark(&mut self, published: i64) -> Option<Step> {
        let bookmarks = self.bookmarks.as_mut()?;
        let now = Instant::now();
        if now < bookmarks.due? {
            return None;
        }
        bookmarks.plan(now);
        // A watch that began in the future has nothing to say yet.
        if published < self.last {
            return None;
        }
        if makes(Mistake::EarlyBookmark) {
            return Some(Step::Bookmark(published + AHEAD));
        }
        self.last = published;
        Some(Step::Bookmark(published))
    }
}

fn initial_batch(view: &mut View, filter: Option<&Filter>) -> (Vec<Delivery>, bool) {
    let mut events = Vec::new();
    for _ in 0..BATCH_OBJECTS_MAX {
        let Some(object) = view.pop_front() else {
            return (events, true);
        };
        if filter.is_none_or(|filter| filter(&object)) {
            events.push(Delivery::initial(object));
        }
    }
    (events, false)
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.core.write().groups_mut().leave(&self.group);
    }
}
