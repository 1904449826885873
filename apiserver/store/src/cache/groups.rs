//! Who wants which events: watchers of the same scope share a group, and an event touches only the groups it is for.

use super::event::Event;
use super::list::CacheError;
use super::object::Object;
use super::ring::Ring;
use super::scope::{Scope, namespace_of};
use crate::limits::BATCH_EVENTS_MAX;
use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// All watchers of one scope. They read from it at their own cursors; it knows only how many there are.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) scope: Scope,
    pub(crate) changed: Notify,
    /// Has events that its watchers were not woken for.
    dirty: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    /// The events of this scope that are in the ring, from `complete_from` on.
    matches: VecDeque<Arc<Event>>,
    /// Number of the first event of which it is known whether it is in `matches`.
    complete_from: u64,
    /// Why there will be no more events.
    closed: Option<CacheError>,
    /// Revision up to which events have left the ring.
    floor: i64,
}

impl Group {
    fn new(scope: Scope, complete_from: u64, floor: i64) -> Self {
        Self {
            scope,
            changed: Notify::new(),
            dirty: AtomicBool::new(false),
            queue: Mutex::new(Queue {
                matches: VecDeque::new(),
                complete_from,
                closed: None,
                floor,
            }),
        }
    }

    /// The next events at a cursor, which moves on: about [`BATCH_EVENTS_MAX`], never a part of a revision, and none
    /// after `published`, because more of the same revision may be on its way.
    pub(crate) fn take(
        &self,
        cursor: &mut u64,
        published: i64,
    ) -> Result<Vec<Arc<Event>>, CacheError> {
        let queue = self.queue.lock();
        if let Some(reason) = &queue.closed {
            return Err(reason.clone());
        }
        if *cursor < queue.complete_from {
            let oldest = queue.floor;
            return Err(CacheError::TooOld { oldest });
        }
        let first = match queue.matches.back() {
            Some(last) if last.seq >= *cursor => {
                queue.matches.partition_point(|event| event.seq < *cursor)
            }
            _ => return Ok(Vec::new()),
        };
        let mut taken: Vec<Arc<Event>> = Vec::new();
        for event in queue.matches.range(first..) {
            let next_revision = taken.last().is_none_or(|e| e.revision < event.revision);
            let full = next_revision && taken.len() >= BATCH_EVENTS_MAX;
            if full || event.revision > published {
                break;
            }
            taken.push(event.clone());
        }
        if let Some(last) = taken.last() {
            *cursor = last.seq + 1;
        }
        Ok(taken)
    }

    /// Ends all its watchers.
    pub(crate) fn close(&self, reason: &CacheError) {
        self.queue.lock().closed = Some(reason.clone());
    }

    /// Wakes its watchers once for everything that came since the last time.
    pub(crate) fn wake(&self) {
        self.dirty.store(false, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    fn push(&self, event: &Arc<Event>) {
        self.queue.lock().matches.push_back(event.clone());
    }

    fn forget(&self, event: &Event) {
        let mut queue = self.queue.lock();
        if queue.matches.front().is_some_and(|e| e.seq == event.seq) {
            queue.matches.pop_front();
            queue.complete_from = event.seq + 1;
            queue.floor = event.revision;
            if queue.matches.is_empty() {
                queue.matches.shrink_to(0);
            }
        }
    }

    /// Fills in events from `seq` on that came before the group was made.
    fn complete(&self, ring: &Ring, seq: u64, prefix_len: usize) {
        let mut queue = self.queue.lock();
        if queue.complete_from <= seq {
            return;
        }
        let known = queue.complete_from;
        let missed = ring
            .since_seq(seq)
            .take_while(|event| event.seq < known)
            .filter(|event| touches(&self.scope, event, prefix_len));
        let missed: Vec<_> = missed.cloned().collect();
        for event in missed.into_iter().rev() {
            queue.matches.push_front(event);
        }
        queue.complete_from = seq;
    }
}

fn touches(scope: &Scope, event: &Event, prefix_len: usize) -> bool {
    [&event.previous, &event.object]
        .into_iter()
        .flatten()
        .any(|object| scope.contains(object, prefix_len))
}

#[derive(Debug)]
struct Member {
    group: Arc<Group>,
    watchers: usize,
}

/// The groups of a cache, found by hash from an event.
#[derive(Debug)]
pub(crate) struct Groups {
    prefix_len: usize,
    all: Option<Member>,
    namespaces: HashMap<Bytes, Member>,
    index: HashMap<Box<str>, Member>,
    keys: HashMap<Bytes, Member>,
    watchers: usize,
}

impl Groups {
    pub(crate) fn new(prefix_len: usize) -> Self {
        Self {
            prefix_len,
            all: None,
            namespaces: HashMap::new(),
            index: HashMap::new(),
            keys: HashMap::new(),
            watchers: 0,
        }
    }

    pub(crate) fn watchers(&self) -> usize {
        self.watchers
    }

    /// Adds a watcher of a scope that is to see the events from `seq` on, which the ring must have.
    pub(crate) fn join(&mut self, scope: &Scope, seq: u64, ring: &Ring) -> Arc<Group> {
        let make = || Member {
            group: Arc::new(Group::new(scope.clone(), ring.next_seq(), ring.floor())),
            watchers: 0,
        };
        let member = match scope {
            Scope::All => self.all.get_or_insert_with(make),
            Scope::Namespace(name) => self.namespaces.entry(name.clone()).or_insert_with(make),
            Scope::Index(value) => self.index.entry(value.clone()).or_insert_with(make),
            Scope::Key(key) => self.keys.entry(key.clone()).or_insert_with(make),
        };
        member.watchers += 1;
        self.watchers += 1;
        let group = member.group.clone();
        group.complete(ring, seq, self.prefix_len);
        group
    }

    /// Takes a watcher out; the last one takes its group along.
    pub(crate) fn leave(&mut self, group: &Arc<Group>) {
        let member = match &group.scope {
            Scope::All => self.all.as_mut(),
            Scope::Namespace(name) => self.namespaces.get_mut(name),
            Scope::Index(value) => self.index.get_mut(value),
            Scope::Key(key) => self.keys.get_mut(key),
        };
        // A closed group is no longer here, and another may have its place.
        let Some(member) = member.filter(|member| Arc::ptr_eq(&member.group, group)) else {
            return;
        };
        self.watchers -= 1;
        member.watchers -= 1;
        if member.watchers > 0 {
            return;
        }
        match &group.scope {
            Scope::All => drop(self.all.take()),
            Scope::Namespace(name) => drop(self.namespaces.remove(name)),
            Scope::Index(value) => drop(self.index.remove(value)),
            Scope::Key(key) => drop(self.keys.remove(key)),
        }
    }

    /// Hands an event to the groups it is for; those that must be woken are added to `touched`, once.
    pub(crate) fn publish(&self, event: &Arc<Event>, touched: &mut Vec<Arc<Group>>) {
        self.each(event, |group| {
            group.push(event);
            if !group.dirty.swap(true, Ordering::Relaxed) {
                touched.push(group.clone());
            }
        });
    }

    /// An event has left the ring.
    pub(crate) fn forget(&self, event: &Event) {
        self.each(event, |group| group.forget(event));
    }

    /// Takes all groups out, closed.
    pub(crate) fn close(&mut self, reason: &CacheError) -> Vec<Arc<Group>> {
        self.watchers = 0;
        let members = self
            .all
            .take()
            .into_iter()
            .chain(self.namespaces.drain().map(|(_, member)| member))
            .chain(self.index.drain().map(|(_, member)| member))
            .chain(self.keys.drain().map(|(_, member)| member));
        members
            .map(|member| {
                member.group.close(reason);
                member.group
            })
            .collect()
    }

    /// The groups an event is for: each once, and none that it is not for.
    fn each(&self, event: &Event, mut act: impl FnMut(&Arc<Group>)) {
        let mut found = |member: Option<&Member>| {
            if let Some(member) = member {
                act(&member.group);
            }
        };
        found(self.all.as_ref());
        let key = &event.subject().key;
        if !self.namespaces.is_empty()
            && let Some(name) = namespace_of(key, self.prefix_len)
        {
            found(self.namespaces.get(name));
        }
        if !self.keys.is_empty() {
            found(self.keys.get(key));
        }
        if self.index.is_empty() {
            return;
        }
        let (before, since) = (
            index_value(event.previous.as_ref()),
            index_value(event.object.as_ref()),
        );
        if let Some(value) = since {
            found(self.index.get(value));
        }
        if let Some(value) = before
            && before != since
        {
            found(self.index.get(value));
        }
    }
}

fn index_value(object: Option<&Arc<Object>>) -> Option<&str> {
    object?.attributes.index()
}
