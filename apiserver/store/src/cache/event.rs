//! One change of one object, and what a watcher makes of it.

use super::frames::Frames;
use super::object::Object;
use bytes::Bytes;
use mainstay_apiplanted::{Mistake, makes};
use std::sync::Arc;

/// A change, kept with the object before it so that every filter can tell what it means to its watcher.
#[derive(Debug)]
pub struct Event {
    /// Its number in the cache, without gaps.
    pub(crate) seq: u64,
    /// Revision of the change.
    pub revision: i64,
    /// The object since, absent after a deletion.
    pub object: Option<Arc<Object>>,
    /// The object before, absent for a creation.
    pub previous: Option<Arc<Object>>,
    pub(crate) frames: Frames,
}

/// What a change is to a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The object has come into the watcher's view.
    Added,
    /// The object is in view and has changed.
    Modified,
    /// The object has left the view. Its last state in view is reported, with the revision of the change.
    Deleted,
}

impl Event {
    /// The object of the event: the new one, or the deleted one.
    pub fn subject(&self) -> &Arc<Object> {
        self.object
            .as_ref()
            .or(self.previous.as_ref())
            .expect("an event has an object before it or since")
    }

    /// What the event is to whoever sees the objects that `sees` accepts.
    pub(crate) fn kind_for(&self, sees: impl Fn(&Object) -> bool) -> Option<EventKind> {
        let seen = |object: &Option<Arc<Object>>| object.as_ref().is_some_and(|o| sees(o));
        match (seen(&self.previous), seen(&self.object)) {
            (false, false) if makes(Mistake::StrayDeletion) && self.object.is_none() => {
                Some(EventKind::Deleted)
            }
            (false, false) => None,
            (false, true) if makes(Mistake::HiddenArrival) && self.previous.is_some() => {
                Some(EventKind::Modified)
            }
            (false, true) => Some(EventKind::Added),
            (true, true) => Some(EventKind::Modified),
            (true, false) if makes(Mistake::HiddenDeparture) && self.object.is_some() => None,
            (true, false) => Some(EventKind::Deleted),
        }
    }

    /// What the event counts for in the ring: the object, as much again for frames, and the structures.
    pub(crate) fn cost(&self) -> usize {
        2 * self.subject().size() + crate::limits::EVENT_OVERHEAD_BYTES
    }
}

/// One event as one watcher is to see it.
#[derive(Clone, Debug)]
pub struct Delivery {
    kind: EventKind,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Event(Arc<Event>),
    Initial(Arc<Object>),
}

impl Delivery {
    pub(crate) fn of_event(kind: EventKind, event: Arc<Event>) -> Self {
        Self {
            kind,
            source: Source::Event(event),
        }
    }

    pub(crate) fn initial(object: Arc<Object>) -> Self {
        Self {
            kind: EventKind::Added,
            source: Source::Initial(object),
        }
    }

    /// What to call it.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// The object to show: for [`EventKind::Deleted`] the last one that was in view.
    pub fn object(&self) -> &Arc<Object> {
        match &self.source {
            Source::Initial(object) => object,
            Source::Event(event) => match self.kind {
                EventKind::Deleted => event.previous.as_ref(),
                _ => event.object.as_ref(),
            }
            .expect("the kind was chosen by the objects the event has"),
        }
    }

    /// The object before, for [`EventKind::Modified`].
    pub fn previous(&self) -> Option<&Arc<Object>> {
        match (&self.source, self.kind) {
            (Source::Event(event), EventKind::Modified) => event.previous.as_ref(),
            _ => None,
        }
    }

    /// The revision to show: for [`EventKind::Deleted`] that of the change, else the object's own.
    pub fn revision(&self) -> i64 {
        match &self.source {
            Source::Initial(object) => object.revision,
            Source::Event(_) if makes(Mistake::OldDeletion) => self.object().revision,
            Source::Event(event) => event.revision,
        }
    }

    /// The encoded form, made by `encode` for the first watcher that needs it and shared with all others.
    ///
    /// `representation` stands for everything that `encode` depends on beside this delivery. The frames of an initial
    /// state are not kept: they are as many as there are objects.
    pub fn frame(&self, representation: u32, encode: impl FnOnce(&Self) -> Bytes) -> Bytes {
        match &self.source {
            Source::Initial(_) => encode(self),
            Source::Event(event) => event.frames.get(representation, self.kind, || encode(self)),
        }
    }
}
