//! Objects, indexes, events and watchers in step with each other. Pure: what happened comes in, who must be woken goes
//! out.

use super::event::Event;
use super::frames::Frames;
use super::groups::{Group, Groups};
use super::list::CacheError;
use super::object::Object;
use super::ordered::Ordered;
use super::ring::{Ring, RingLimits};
use super::scope::Scope;
use super::view::View;
use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use mainstay_apiplanted::{Mistake, makes_seldom};
use std::sync::Arc;
use std::time::Instant;

/// The state of one key after a revision.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: Bytes,
    pub(crate) revision: i64,
    pub(crate) to: Content,
}

/// What a key holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Nothing,
    Object(Arc<Object>),
    /// A value that is not an object of the resource.
    Foreign,
}

/// A watcher's place in the cache.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) group: Arc<Group>,
    pub(crate) cursor: u64,
    /// The state that the cursor follows, for a watcher that begins with it.
    pub(crate) view: View,
}

/// A list of some revision: ready, or to be made by taking back what came later.
#[derive(Debug)]
pub(crate) enum PastView {
    Ready(Ordered),
    Undo(Ordered, Vec<Arc<Event>>),
}

#[derive(Debug)]
pub(crate) struct Core {
    prefix: Bytes,
    objects: Ordered,
    index: HashMap<Box<str>, Ordered>,
    /// Keys below the prefix that hold no object.
    foreign: HashSet<Bytes>,
    ring: Ring,
    groups: Groups,
    /// Everything up to here is in `objects`.
    revision: i64,
}

impl Core {
    /// An empty cache at revision 0.
    pub(crate) fn new(prefix: Bytes, limits: RingLimits) -> Self {
        Self {
            groups: Groups::new(prefix.len()),
            prefix,
            objects: Ordered::default(),
            index: HashMap::new(),
            foreign: HashSet::new(),
            ring: Ring::new(limits, 0),
            revision: 0,
        }
    }

    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    pub(crate) fn groups_mut(&mut self) -> &mut Groups {
        &mut self.groups
    }

    /// All objects, and how many keys the store has for them.
    pub(crate) fn content(&self) -> (Ordered, usize) {
        let keys = self.objects.len() + self.foreign.len();
        (self.objects.clone(), keys)
    }

    /// Begins anew with a full list. Watchers end, for what happened meanwhile is unknown.
    pub(crate) fn replace(
        &mut self,
        objects: Vec<Arc<Object>>,
        foreign: HashSet<Bytes>,
        revision: i64,
    ) -> Vec<Arc<Group>> {
        self.index.clear();
        for object in &objects {
            if let Some(value) = object.attributes.index() {
                self.index
                    .entry_ref(value)
                    .or_default()
                    .insert(object.clone());
            }
        }
        self.objects = Ordered::from_sorted(objects);
        self.foreign = foreign;
        self.ring.clear(revision);
        self.revision = revision;
        self.groups.close(&CacheError::TooOld { oldest: revision })
    }

    /// Applies changes in order of revision, whole revisions at a time. Returns the groups to wake.
    pub(crate) fn apply(&mut self, changes: Vec<Change>, now: Instant) -> Vec<Arc<Group>> {
        let (known, mut touched) = (self.revision, Vec::new());
        for change in changes {
            if change.revision <= known {
                continue;
            }
            self.revision = change.revision;
            let (object, previous) = self.exchange(change.key, change.to);
            if object.is_none() && previous.is_none() {
                continue;
            }
            let event = Arc::new(Event {
                seq: self.ring.next_seq(),
                revision: change.revision,
                object,
                previous,
                frames: Frames::default(),
            });
            self.ring.push(event.clone(), now);
            if makes_seldom(Mistake::LostEvent, event.revision) {
                continue;
            }
            self.groups.publish(&event, &mut touched);
        }
        self.trim(now);
        touched
    }

    /// Everything up to `revision` is known, without any change.
    pub(crate) fn progress(&mut self, revision: i64) {
        self.revision = self.revision.max(revision);
    }

    /// Forgets events that are too many or too old.
    pub(crate) fn trim(&mut self, now: Instant) {
        while let Some(event) = self.ring.evict(now) {
            self.groups.forget(&event);
        }
    }

    fn exchange(&mut self, key: Bytes, to: Content) -> (Option<Arc<Object>>, Option<Arc<Object>>) {
        self.foreign.remove(&key);
        let (object, previous) = match to {
            Content::Object(object) => (Some(object.clone()), self.objects.insert(object)),
            Content::Nothing => (None, self.objects.remove(&key)),
            Content::Foreign => {
                let previous = self.objects.remove(&key);
                self.foreign.insert(key);
                (None, previous)
            }
        };
        self.reindex(object.as_ref(), previous.as_ref());
        (object, previous)
    }

    fn reindex(&mut self, object: Option<&Arc<Object>>, previous: Option<&Arc<Object>>) {
        let value = object.and_then(|object| object.attributes.index());
        if let Some(previous) = previous
            && let Some(old) = previous.attributes.index()
            && value != Some(old)
            && let Some(list) = self.index.get_mut(old)
        {
            list.remove(&previous.key);
            if list.is_empty() {
                self.index.remove(old);
            }
        }
        if let (Some(object), Some(value)) = (object, value) {
            self.index
                .entry_ref(value)
                .or_default()
                .insert(object.clone());
        }
    }

    /// The objects of a scope now.
    pub(crate) fn view(&self, scope: &Scope) -> View {
        let objects = match scope {
            Scope::Index(value) => self.index.get(value).cloned().unwrap_or_default(),
            _ => self.objects.clone(),
        };
        View::new(objects, scope, &self.prefix, self.revision)
    }

    /// All objects as of a revision that is not in the future.
    pub(crate) fn past(&self, revision: i64) -> Result<PastView, CacheError> {
        self.covered(revision)?;
        let later: Vec<_> = self
            .ring
            .since_seq(self.ring.seq_after(revision))
            .cloned()
            .collect();
        let objects = self.objects.clone();
        Ok(if later.is_empty() {
            PastView::Ready(objects)
        } else {
            PastView::Undo(objects, later)
        })
    }

    /// Adds a watcher of what follows a revision, or of what follows now.
    pub(crate) fn join(&mut self, scope: &Scope, after: Option<i64>) -> Result<Joined, CacheError> {
        let after = after.unwrap_or(self.revision);
        self.covered(after)?;
        let cursor = self.ring.seq_after(after);
        let view = self.view(scope);
        let group = self.groups.join(scope, cursor, &self.ring);
        Ok(Joined {
            group,
            cursor,
            view,
        })
    }

    fn covered(&self, revision: i64) -> Result<(), CacheError> {
        let oldest = self.ring.floor();
        if revision < oldest {
            return Err(CacheError::TooOld { oldest });
        }
        Ok(())
    }
}

impl PastView {
    /// Takes back what came later.
    pub(crate) fn make(self) -> Ordered {
        match self {
            Self::Ready(objects) => objects,
            Self::Undo(mut objects, later) => {
                for event in later.iter().rev() {
                    match &event.previous {
                        Some(previous) => drop(objects.insert(previous.clone())),
                        None => drop(objects.remove(&event.subject().key)),
                    }
                }
                objects
            }
        }
    }
}
