//! What an informer has seen of one kind, by name, by namespace and by indexes of the user's own.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use kube::Resource;
use parking_lot::RwLock;

use crate::key::Key;

/// Values under which an object is found; called for every object that comes or goes, so it should be cheap.
pub type Index<K> = fn(&K) -> Vec<String>;

/// The objects of one kind as of some moment in the past. Objects are shared and never change.
pub struct Cache<K> {
    state: RwLock<State<K>>,
}

struct State<K> {
    objects: HashMap<Key, Arc<K>>,
    namespaces: HashMap<String, BTreeSet<Key>>,
    indexes: HashMap<&'static str, Indexed<K>>,
}

struct Indexed<K> {
    values: Index<K>,
    keys: HashMap<String, BTreeSet<Key>>,
}

impl<K> fmt::Debug for Cache<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.read();
        f.debug_struct("Cache")
            .field("objects", &state.objects.len())
            .finish_non_exhaustive()
    }
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self {
            state: RwLock::new(State {
                objects: HashMap::new(),
                namespaces: HashMap::new(),
                indexes: HashMap::new(),
            }),
        }
    }
}

impl<K: Resource> Cache<K> {
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.state.read().objects.get(key).cloned()
    }

    /// All objects, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<K>> {
        self.state.read().objects.values().cloned().collect()
    }

    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.state.read().objects.keys().cloned().collect()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Objects of one namespace, in order of their names.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.state.read();
        state.objects_of(state.namespaces.get(namespace))
    }

    /// Objects that an index has under `value`, in order of their names; none if there is no such index.
    #[must_use]
    pub fn indexed(&self, index: &'static str, value: &str) -> Vec<Arc<K>> {
        let state = self.state.read();
        let keys = state.indexes.get(index).and_then(|i| i.keys.get(value));
        state.objects_of(keys)
    }

    /// Adds an index over what is there and what will come. The same name again changes nothing.
    pub fn index_by(&self, name: &'static str, values: Index<K>) {
        let mut state = self.state.write();
        if state.indexes.contains_key(name) {
            return;
        }
        let mut index = Indexed {
            values,
            keys: HashMap::new(),
        };
        for (key, object) in &state.objects {
            index.add(key, object);
        }
        state.indexes.insert(name, index);
    }

    /// Puts an object in and returns what was there under its name.
    pub(crate) fn put(&self, object: &Arc<K>) -> Option<Arc<K>> {
        self.state.write().put(object)
    }

    pub(crate) fn remove(&self, key: &Key) -> Option<Arc<K>> {
        self.state.write().remove(key)
    }
}

impl<K: Resource> State<K> {
    fn objects_of(&self, keys: Option<&BTreeSet<Key>>) -> Vec<Arc<K>> {
        let found = keys.into_iter().flatten();
        found
            .filter_map(|key| self.objects.get(key).cloned())
            .collect()
    }

    fn put(&mut self, object: &Arc<K>) -> Option<Arc<K>> {
        let key = Key::of(object.as_ref());
        let old = self.remove(&key);
        let namespace = self.namespaces.entry(key.namespace.clone()).or_default();
        namespace.insert(key.clone());
        for index in self.indexes.values_mut() {
            index.add(&key, object);
        }
        self.objects.insert(key, Arc::clone(object));
        old
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<K>> {
        let old = self.objects.remove(key)?;
        drop_key(&mut self.namespaces, &key.namespace, key);
        for index in self.indexes.values_mut() {
            for value in (index.values)(&old) {
                drop_key(&mut index.keys, &value, key);
            }
        }
        Some(old)
    }
}

impl<K> Indexed<K> {
    fn add(&mut self, key: &Key, object: &K) {
        for value in (self.values)(object) {
            self.keys.entry(value).or_default().insert(key.clone());
        }
    }
}

fn drop_key(keys: &mut HashMap<String, BTreeSet<Key>>, value: &str, key: &Key) {
    if let Some(set) = keys.get_mut(value) {
        set.remove(key);
        if set.is_empty() {
            keys.remove(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;

    fn pod(namespace: &str, name: &str, node: &str) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.namespace = Some(namespace.to_owned());
        pod.metadata.name = Some(name.to_owned());
        pod.spec = Some(Default::default());
        pod.spec.as_mut().expect("just made").node_name = Some(node.to_owned());
        Arc::new(pod)
    }

    fn node(pod: &Pod) -> Vec<String> {
        let spec = pod.spec.as_ref();
        spec.and_then(|spec| spec.node_name.clone())
            .into_iter()
            .collect()
    }

    fn names(pods: &[Arc<Pod>]) -> Vec<String> {
        pods.iter()
            .map(|pod| Key::of(pod.as_ref()).to_string())
            .collect()
    }

    #[test]
    fn objects_are_found_by_what_they_are_now() {
        let cache = Cache::default();
        cache.put(&pod("a", "one", "n1"));
        cache.index_by("node", node);
        cache.put(&pod("a", "two", "n1"));
        cache.put(&pod("b", "one", "n2"));
        assert_eq!(names(&cache.indexed("node", "n1")), ["a/one", "a/two"]);
        let old = cache.put(&pod("a", "one", "n2")).expect("it was there");
        assert_eq!(node(&old), ["n1"]);
        assert_eq!(names(&cache.indexed("node", "n1")), ["a/two"]);
        assert_eq!(names(&cache.indexed("node", "n2")), ["a/one", "b/one"]);
        assert!(cache.remove(&Key::new("a", "two")).is_some());
        assert!(cache.remove(&Key::new("a", "two")).is_none());
        assert_eq!(names(&cache.in_namespace("a")), ["a/one"]);
        assert!(cache.indexed("node", "n1").is_empty());
        assert!(cache.indexed("no such index", "n1").is_empty());
    }
}
