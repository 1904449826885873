//! Owners that are known not to exist.

use std::collections::{HashSet, VecDeque};

use super::graph::Identity;
use crate::limits::ABSENT_OWNERS_MAX;

/// A uid is given once: what is gone is gone for good, where it was looked for. The oldest are forgotten first.
#[derive(Debug, Default)]
pub(super) struct Absent {
    known: HashSet<Identity>,
    order: VecDeque<Identity>,
}

impl Absent {
    pub(super) fn add(&mut self, owner: Identity) {
        if !self.known.insert(owner.clone()) {
            return;
        }
        self.order.push_back(owner);
        if self.order.len() > ABSENT_OWNERS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn has(&self, owner: &Identity) -> bool {
        self.known.contains(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(namespace: &str, uid: &str) -> Identity {
        Identity {
            api_version: "apps/v1".to_owned(),
            kind: "ReplicaSet".to_owned(),
            namespace: namespace.to_owned(),
            name: "web".to_owned(),
            uid: uid.into(),
        }
    }

    #[test]
    fn what_is_absent_in_one_namespace_may_be_in_another_and_memory_is_bounded() {
        let mut absent = Absent::default();
        absent.add(owner("a", "1"));
        assert!(absent.has(&owner("a", "1")));
        assert!(!absent.has(&owner("b", "1")));
        assert!(!absent.has(&owner("a", "2")));
        for n in 0..ABSENT_OWNERS_MAX {
            absent.add(owner("c", &n.to_string()));
        }
        assert!(!absent.has(&owner("a", "1")));
        assert_eq!(absent.known.len(), ABSENT_OWNERS_MAX);
    }
}
