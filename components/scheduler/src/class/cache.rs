//! Classes that pods were seen of lately.

use std::collections::HashMap;
use std::sync::Arc;

use super::key::key;
use super::made::Class;
use crate::limits::CLASSES_MAX;
use crate::pod::PodInfo;
use crate::snapshot::Snapshot;

/// At most [`CLASSES_MAX`] of them.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    known: HashMap<Vec<u8>, Class>,
    now: u64,
}

impl Classes {
    /// The class of a pod, up to date with the snapshot.
    pub(crate) fn of(&mut self, snapshot: &mut Snapshot, pod: &Arc<PodInfo>) -> &mut Class {
        let key = key(pod, pod.spec());
        self.now += 1;
        let current = self.known.get_mut(&key);
        if !current.is_some_and(|class| class.catch_up(snapshot)) {
            self.make_room();
            let mut fresh = Class::new(snapshot, pod);
            fresh.settle(snapshot);
            self.known.insert(key.clone(), fresh);
        }
        let class = self.known.get_mut(&key).expect("it is there by now");
        class.used = self.now;
        class
    }

    fn make_room(&mut self) {
        if self.known.len() < CLASSES_MAX {
            return;
        }
        // A quarter at once, so that it is rarely done.
        let mut used: Vec<u64> = self.known.values().map(|class| class.used).collect();
        used.sort_unstable();
        let least = used[used.len() / 4];
        self.known.retain(|_, class| class.used > least);
    }
}
