//! A list as of one revision, which stays as it is while the cache goes on.

use super::object::Object;
use super::ordered::{Ordered, Place};
use super::scope::Scope;
use crate::client::prefix_end;
use bytes::Bytes;
use std::sync::Arc;

/// The objects of a scope as of one revision, in key order. Cloning is cheap; reading takes no lock.
#[derive(Clone, Debug)]
pub struct View {
    revision: i64,
    objects: Ordered,
    from: Place,
    to: Place,
    /// Objects between the places that belong to the list are those with this value of the indexed field.
    index: Option<Box<str>>,
}

impl View {
    /// The objects of `scope` among `objects`, which need not hold all others.
    pub(crate) fn new(objects: Ordered, scope: &Scope, prefix: &Bytes, revision: i64) -> Self {
        let (from, to) = match scope {
            Scope::All | Scope::Index(_) => (objects.lower_bound(b""), objects.end()),
            Scope::Key(key) => {
                let from = objects.lower_bound(key);
                let found = objects.at(from).is_some_and(|object| object.key == *key);
                (from, if found { objects.after(from) } else { from })
            }
            Scope::Namespace(_) => {
                let from = objects.lower_bound(&scope.prefix(prefix));
                let end = prefix_end(&scope.prefix(prefix));
                (from, objects.lower_bound(&end))
            }
        };
        Self {
            revision,
            objects,
            from,
            to,
            index: None,
        }
    }

    /// The same, where `objects` holds other objects than those of the indexed value too.
    pub(crate) fn filtered(objects: Ordered, scope: &Scope, prefix: &Bytes, revision: i64) -> Self {
        let index = match scope {
            Scope::Index(value) => Some(value.clone()),
            _ => None,
        };
        Self {
            index,
            ..Self::new(objects, scope, prefix, revision)
        }
    }

    /// The revision of the list.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The part of the list behind a key, for the next page.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        let mut place = self.objects.lower_bound(key);
        if self.objects.at(place).is_some_and(|o| o.key == key) {
            place = self.objects.after(place);
        }
        if place > self.from {
            self.from = place.min(self.to);
        }
        self
    }

    /// How many objects the list has. Counted by leaves, not by objects, unless it is of an indexed value in the past.
    pub fn len(&self) -> usize {
        if self.index.is_some() {
            self.iter().count()
        } else {
            self.objects.distance(self.from, self.to)
        }
    }

    /// Whether the list has no object.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The object with a key, if it is in the list.
    pub fn get(&self, key: &[u8]) -> Option<&Arc<Object>> {
        let place = self.objects.lower_bound(key);
        self.objects.at(place).filter(|object| {
            object.key == key && place >= self.from && place < self.to && self.shows(object)
        })
    }

    /// The objects in key order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        let mut place = self.from;
        let places = std::iter::from_fn(move || {
            let object = (place < self.to).then(|| self.objects.at(place))??;
            place = self.objects.after(place);
            Some(object)
        });
        places.filter(|object| self.shows(object))
    }

    fn shows(&self, object: &Object) -> bool {
        let index = self.index.as_deref();
        index.is_none_or(|value| object.attributes.index() == Some(value))
    }

    /// Takes the first object off the list.
    pub fn pop_front(&mut self) -> Option<Arc<Object>> {
        loop {
            let object = (self.from < self.to).then(|| self.objects.at(self.from))??;
            let object = object.clone();
            self.from = self.objects.after(self.from);
            if self.shows(&object) {
                return Some(object);
            }
        }
    }
}
