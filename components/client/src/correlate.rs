//! Which events are told, and which are the same as before.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use tokio::time::Instant;

use crate::events::{About, Said};
use crate::limits::{
    EVENTS_BURST, EVENTS_PER_SECOND, EVENTS_REMEMBERED_MAX, EVENTS_SIMILAR_MAX,
    EVENTS_SIMILAR_WINDOW,
};
use crate::pace::Bucket;

/// An event that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) count: i32,
}

/// What makes events similar: all but the message.
type Similar = (About, &'static str, String);

/// Memory of what was said lately; the oldest is forgotten first.
#[derive(Debug)]
pub(crate) struct Correlator {
    talk: Recent<About, Bucket>,
    similar: Recent<Similar, Messages>,
    written: Recent<Said, Known>,
}

#[derive(Debug)]
struct Messages {
    different: HashSet<String>,
    last: Instant,
}

impl Correlator {
    pub(crate) fn new() -> Self {
        Self {
            talk: Recent::default(),
            similar: Recent::default(),
            written: Recent::default(),
        }
    }

    /// What to write instead of `said`; `None` if too much was said about the object.
    pub(crate) fn pass(&mut self, mut said: Said, now: Instant) -> Option<Arc<Said>> {
        let fresh = || Bucket::new(EVENTS_BURST, EVENTS_PER_SECOND, now);
        let about = whatever_its_state(&said.about);
        if !self.talk.get_or(about.clone(), fresh).take(now) {
            return None;
        }
        let similar = (about, said.kind, said.reason.clone());
        let none = || Messages {
            different: HashSet::new(),
            last: now,
        };
        let messages = self.similar.get_or(similar, none);
        if now.duration_since(messages.last) > EVENTS_SIMILAR_WINDOW {
            messages.different.clear();
        }
        messages.last = now;
        if messages.different.len() < EVENTS_SIMILAR_MAX as usize {
            messages.different.insert(said.message.clone());
        }
        if messages.different.len() >= EVENTS_SIMILAR_MAX as usize {
            said.message = format!("(combined from similar events): {}", said.message);
        }
        Some(Arc::new(said))
    }

    pub(crate) fn known(&self, said: &Said) -> Option<&Known> {
        self.written.map.get(&identity(said))
    }

    pub(crate) fn written(&mut self, said: &Said, known: &Known) {
        let same = identity(said);
        let kept = self.written.get_or(same, || known.clone());
        kept.clone_from(known);
    }
}

/// The object whatever its resourceVersion.
fn whatever_its_state(about: &About) -> About {
    About {
        resource_version: String::new(),
        ..about.clone()
    }
}

/// What makes events the same; combined ones are, whatever they say.
fn identity(said: &Said) -> Said {
    let mut same = said.clone();
    same.about = whatever_its_state(&said.about);
    if same.message.starts_with("(combined from similar events): ") {
        same.message.clear();
    }
    same
}

/// A map of at most [`EVENTS_REMEMBERED_MAX`] entries; the first that came goes first.
#[derive(Debug)]
struct Recent<K, V> {
    map: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self {
            map: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    fn get_or(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        if !self.map.contains_key(&key) {
            if self.order.len() >= EVENTS_REMEMBERED_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.map.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        self.map.entry(key).or_insert_with(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn said(message: &str, version: &str) -> Said {
        Said {
            about: About {
                api_version: "v1".to_owned(),
                kind: "Pod".to_owned(),
                namespace: "default".to_owned(),
                name: "p".to_owned(),
                uid: "u".to_owned(),
                resource_version: version.to_owned(),
                field_path: String::new(),
            },
            kind: "Normal",
            reason: "Tried".to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn the_same_again_is_known_whatever_the_state_of_the_object() {
        let mut correlator = Correlator::new();
        let now = Instant::now();
        let first = correlator.pass(said("a", "1"), now).expect("the first");
        assert_eq!(correlator.known(&first), None);
        let known = Known {
            name: "p.1".to_owned(),
            count: 1,
        };
        correlator.written(&first, &known);
        let again = correlator.pass(said("a", "2"), now).expect("the second");
        assert_eq!(correlator.known(&again), Some(&known));
        let other = correlator.pass(said("b", "2"), now).expect("another one");
        assert_eq!(correlator.known(&other), None);
    }

    #[test]
    fn the_tenth_different_message_and_all_after_it_are_combined_into_one_event() {
        let mut correlator = Correlator::new();
        let mut now = Instant::now();
        let mut messages = Vec::new();
        for n in 0..12 {
            now += Duration::from_secs(1);
            let said = correlator.pass(said(&format!("m{n}"), "1"), now);
            messages.push(said.expect("within the burst"));
        }
        assert_eq!(messages[8].message, "m8");
        assert_eq!(messages[9].message, "(combined from similar events): m9");
        assert_eq!(identity(&messages[9]), identity(&messages[11]));
        now += Duration::from_secs(601);
        let later = correlator.pass(said("m13", "1"), now).expect("a token");
        assert_eq!(later.message, "m13");
    }

    #[test]
    fn who_talks_too_much_about_one_object_gets_a_word_in_five_minutes() {
        let mut correlator = Correlator::new();
        let now = Instant::now();
        let heard = (0..40).filter(|_| correlator.pass(said("a", "1"), now).is_some());
        assert_eq!(heard.count(), 25);
        assert!(
            correlator
                .pass(said("a", "1"), now + Duration::from_secs(299))
                .is_none()
        );
        assert!(
            correlator
                .pass(said("a", "1"), now + Duration::from_secs(301))
                .is_some()
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut correlator = Correlator::new();
        for n in 0..EVENTS_REMEMBERED_MAX + 10 {
            let mut said = said("a", "1");
            said.about.name = n.to_string();
            let _ = correlator.pass(said, Instant::now());
        }
        assert_eq!(correlator.talk.map.len(), EVENTS_REMEMBERED_MAX);
        assert_eq!(correlator.talk.order.len(), EVENTS_REMEMBERED_MAX);
    }
}
