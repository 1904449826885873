//! Objects in key order, copied on write.
//!
//! A sorted list of sorted leaves. A clone shares everything and costs one counter; the first write after a clone copies
//! the list of leaves and one leaf, about 3 µs at 100,000 objects, and a write without a clone in between copies nothing.
//! So a list of any length is read without a lock, while writes go on.

use super::object::Object;
use crate::limits::{LEAF_OBJECTS_JOIN, LEAF_OBJECTS_MAX};
use bytes::Bytes;
use std::sync::Arc;

type Leaf = Arc<Vec<Arc<Object>>>;

/// A set of objects in key order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ordered {
    /// No leaf is empty.
    leaves: Arc<Vec<Leaf>>,
    len: usize,
}

/// A place between objects: leaf, and object in the leaf. Always normal: the object exists, or it is the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    leaf: usize,
    slot: usize,
}

impl Ordered {
    /// From objects in strict key order.
    pub(crate) fn from_sorted(objects: Vec<Arc<Object>>) -> Self {
        debug_assert!(objects.windows(2).all(|pair| pair[0].key < pair[1].key));
        let len = objects.len();
        // Half full, so that the next writes do not split every leaf.
        let leaves = objects
            .chunks(LEAF_OBJECTS_MAX / 2)
            .map(|chunk| {
                let mut leaf = Vec::with_capacity(LEAF_OBJECTS_MAX);
                leaf.extend_from_slice(chunk);
                Arc::new(leaf)
            })
            .collect();
        Self {
            leaves: Arc::new(leaves),
            len,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The place of the first object whose key is not less than `key`.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> Place {
        let leaf = self.leaves.partition_point(|leaf| last_key(leaf) < key);
        let slot = self
            .leaves
            .get(leaf)
            .map_or(0, |leaf| leaf.partition_point(|object| object.key < key));
        Place { leaf, slot }
    }

    /// The place after the last object.
    pub(crate) fn end(&self) -> Place {
        Place {
            leaf: self.leaves.len(),
            slot: 0,
        }
    }

    pub(crate) fn at(&self, place: Place) -> Option<&Arc<Object>> {
        self.leaves.get(place.leaf)?.get(place.slot)
    }

    /// The place after an object.
    pub(crate) fn after(&self, place: Place) -> Place {
        let leaf_len = self.leaves.get(place.leaf).map_or(0, |leaf| leaf.len());
        if place.slot + 1 < leaf_len {
            Place {
                slot: place.slot + 1,
                ..place
            }
        } else {
            Place {
                leaf: place.leaf + 1,
                slot: 0,
            }
        }
    }

    /// How many objects lie between two places.
    pub(crate) fn distance(&self, from: Place, to: Place) -> usize {
        if from.leaf >= to.leaf {
            return if from.leaf == to.leaf {
                to.slot.saturating_sub(from.slot)
            } else {
                0
            };
        }
        let between: usize = self.leaves[from.leaf..to.leaf]
            .iter()
            .map(|leaf| leaf.len())
            .sum();
        between - from.slot + to.slot
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.leaves.iter().flat_map(|leaf| leaf.iter())
    }

    /// Adds an object or replaces the one with its key, which is returned.
    pub(crate) fn insert(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        let place = self.lower_bound(&object.key);
        let leaves = Arc::make_mut(&mut self.leaves);
        // Behind everything: the last leaf takes it.
        let at = place.leaf.min(leaves.len().saturating_sub(1));
        let Some(leaf) = leaves.get_mut(at) else {
            leaves.push(Arc::new(vec![object]));
            self.len = 1;
            return None;
        };
        let objects = Arc::make_mut(leaf);
        let slot = if at == place.leaf {
            place.slot
        } else {
            objects.len()
        };
        if let Some(found) = objects.get_mut(slot)
            && found.key == object.key
        {
            return Some(std::mem::replace(found, object));
        }
        objects.insert(slot, object);
        if objects.len() > LEAF_OBJECTS_MAX {
            let upper = objects.split_off(objects.len() / 2);
            leaves.insert(at + 1, Arc::new(upper));
        }
        self.len += 1;
        None
    }

    /// Takes an object out.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Arc<Object>> {
        let place = self.lower_bound(key);
        self.at(place).filter(|object| object.key == key)?;
        let leaves = Arc::make_mut(&mut self.leaves);
        let objects = Arc::make_mut(&mut leaves[place.leaf]);
        let removed = objects.remove(place.slot);
        self.len -= 1;
        join_small(leaves, place.leaf);
        Some(removed)
    }
}

fn last_key(leaf: &Leaf) -> &Bytes {
    &leaf.last().expect("no leaf is empty").key
}

/// Drops an empty leaf, or joins a small one with the next.
fn join_small(leaves: &mut Vec<Leaf>, at: usize) {
    if leaves[at].is_empty() {
        leaves.remove(at);
        return;
    }
    let Some(next) = leaves.get(at + 1) else {
        return;
    };
    if leaves[at].len() + next.len() < LEAF_OBJECTS_JOIN {
        let next = leaves.remove(at + 1);
        Arc::make_mut(&mut leaves[at]).extend(next.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::Ordered;
    use crate::cache::object::{Attributes, Object};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn object(key: u16, revision: i64) -> Arc<Object> {
        Arc::new(Object {
            key: format!("{key:05}").into(),
            revision,
            value: "".into(),
            attributes: Attributes::default(),
        })
    }

    fn content(ordered: &Ordered) -> Vec<(Vec<u8>, i64)> {
        ordered
            .iter()
            .map(|o| (o.key.to_vec(), o.revision))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Random writes and clones: every clone stays what it was, the list equals a BTreeMap, and places count right.
        #[test]
        fn equals_a_map(
            start in 0u16..1500,
            writes in vec((0u16..2000, any::<bool>(), 0u8..50), 0..1500),
            bounds in (0u16..2000, 0u16..2000),
        ) {
            let mut model: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
            let sorted: Vec<_> = (0..start).map(|key| object(key, 1)).collect();
            model.extend(sorted.iter().map(|o| (o.key.to_vec(), 1)));
            let mut ordered = Ordered::from_sorted(sorted);
            let mut clones = Vec::new();
            for (number, (key, remove, clone)) in (2i64..).zip(writes) {
                let object = object(key, number);
                if remove {
                    let removed = ordered.remove(&object.key).map(|o| o.revision);
                    prop_assert_eq!(removed, model.remove(&object.key[..]));
                } else {
                    let model_old = model.insert(object.key.to_vec(), number);
                    prop_assert_eq!(ordered.insert(object).map(|o| o.revision), model_old);
                }
                if clone == 0 {
                    clones.push((ordered.clone(), content(&ordered)));
                }
            }
            let expected: Vec<_> = model.clone().into_iter().collect();
            prop_assert_eq!(content(&ordered), expected);
            prop_assert_eq!(ordered.len(), model.len());
            for (clone, was) in clones {
                prop_assert_eq!(content(&clone), was);
            }
            let (low, high) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
            let (low, high) = (format!("{low:05}").into_bytes(), format!("{high:05}").into_bytes());
            let (from, to) = (ordered.lower_bound(&low), ordered.lower_bound(&high));
            prop_assert_eq!(ordered.distance(from, to), model.range(low.clone()..high).count());
            let (mut place, mut walked) = (from, Vec::new());
            while let Some(object) = ordered.at(place) {
                walked.push(object.key.to_vec());
                place = ordered.after(place);
            }
            let rest: Vec<_> = model.range(low..).map(|(key, _)| key.clone()).collect();
            prop_assert_eq!(walked, rest);
            prop_assert_eq!(place, ordered.end());
        }
    }
}
