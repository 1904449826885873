//! What a controller has written and its cache does not show yet.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::Resource;
use parking_lot::Mutex;

use crate::informer::{Change, Informer, Kind, Mark};
use crate::key::Key;

/// Creations and deletions that were answered, by the object they were done for. As long as some are unseen, the
/// cache is known to be behind, and who counts what is in it would make or delete too many.
///
/// Nothing is counted: a creation is seen when the cache has come to its revision, a deletion when the cache no
/// longer has the object alive. So an event that is never told (the object came and went between two lists) holds
/// nobody up, unlike with expectations that are counted down.
#[derive(Debug, Default)]
pub struct Unseen {
    writes: Mutex<HashMap<Key, Writes>>,
}

#[derive(Debug, Default)]
struct Writes {
    created: Option<Mark>,
    /// Uids.
    deleted: HashSet<String>,
}

impl Unseen {
    /// An object was created for `key`; `created` is the server's answer.
    pub fn created<K: Kind>(&self, key: &Key, informer: &Informer<K>, created: &K) {
        let mark = informer.mark(created);
        let mut writes = self.writes.lock();
        let last = &mut writes.entry(key.clone()).or_default().created;
        *last = Some(last.map_or(mark, |last| last.max(mark)));
    }

    /// The server has agreed to delete an object for `key`.
    pub fn deleted<K: Resource>(&self, key: &Key, object: &K) {
        let uid = object.meta().uid.clone().unwrap_or_default();
        let mut writes = self.writes.lock();
        writes.entry(key.clone()).or_default().deleted.insert(uid);
    }

    /// Looks at the cache, and says whether what it found shows all that was written.
    pub fn look<K: Kind>(
        &self,
        key: &Key,
        informer: &Informer<K>,
        look: impl FnOnce() -> Vec<Arc<K>>,
    ) -> (Vec<Arc<K>>, bool) {
        // Creations are asked for before the look, lest one comes in between; deletions are seen in what was found.
        let created = self.creations_are_seen(key, informer);
        let found = look();
        let deleted = self.deletions_are_seen(key, &found);
        (found, created && deleted)
    }

    fn creations_are_seen<K: Kind>(&self, key: &Key, informer: &Informer<K>) -> bool {
        let mut writes = self.writes.lock();
        let Some(writes) = writes.get_mut(key) else {
            return true;
        };
        if writes
            .created
            .is_some_and(|mark| informer.has_reached(mark))
        {
            writes.created = None;
        }
        writes.created.is_none()
    }

    fn deletions_are_seen<K: Resource>(&self, key: &Key, found: &[Arc<K>]) -> bool {
        let mut all = self.writes.lock();
        let Some(writes) = all.get_mut(key) else {
            return true;
        };
        if !writes.deleted.is_empty() {
            let alive = found.iter().map(|object| object.meta());
            let alive = alive.filter(|meta| meta.deletion_timestamp.is_none());
            let alive: HashSet<&String> = alive.filter_map(|meta| meta.uid.as_ref()).collect();
            writes.deleted.retain(|uid| alive.contains(uid));
        }
        let seen = writes.deleted.is_empty();
        if seen && writes.created.is_none() {
            all.remove(key);
        }
        seen
    }

    /// The name of an owner that has changed. Nothing is unseen of one that is deleted.
    pub fn owner<K: Resource>(&self, change: &Change<'_, K>) -> Key {
        let key = Key::of(change.object().as_ref());
        if let Change::Deleted(_) = change {
            self.forget(&key);
        }
        key
    }

    /// The object itself is gone.
    pub fn forget(&self, key: &Key) {
        self.writes.lock().remove(key);
    }
}
