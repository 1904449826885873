//! Answers of the apiserver that are remembered for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Answers by question; as many as are allowed.
#[derive(Debug)]
pub(super) struct Remembered<K, V> {
    max: usize,
    known: Mutex<HashMap<K, (Instant, V)>>,
}

impl<K: Hash + Eq, V: Clone> Remembered<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            known: Mutex::default(),
        }
    }

    pub(super) fn get(&self, question: &K) -> Option<V> {
        let known = self.known.lock();
        let (until, answer) = known.get(question)?;
        (Instant::now() < *until).then(|| answer.clone())
    }

    /// Where there is no room nothing is remembered, so that what is known stays known.
    pub(super) fn put(&self, question: K, answer: V, life: Duration) {
        if life.is_zero() {
            return;
        }
        let mut known = self.known.lock();
        let now = Instant::now();
        if known.len() >= self.max {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() < self.max || known.contains_key(&question) {
            known.insert(question, (now + life, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_forgotten_in_time_and_never_too_many() {
        const LONG: Duration = Duration::from_secs(100);
        let known = Remembered::new(2);
        known.put("a", 1, Duration::from_nanos(1));
        known.put("b", 2, LONG);
        assert_eq!((known.get(&"a"), known.get(&"b")), (None, Some(2)));
        known.put("c", 3, LONG);
        known.put("d", 4, LONG);
        assert_eq!((known.get(&"c"), known.get(&"d")), (Some(3), None));
        known.put("c", 5, LONG);
        assert_eq!((known.get(&"b"), known.get(&"c")), (Some(2), Some(5)));
        known.put("b", 6, Duration::ZERO);
        assert_eq!(known.get(&"b"), Some(2));
    }
}
