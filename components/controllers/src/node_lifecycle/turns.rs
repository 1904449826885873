//! Whose turn it is: nodes of one zone wait for each other, one at a time at a rate that may change.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// The waiting nodes of one zone, and when the next one may go.
#[derive(Debug)]
pub(super) struct Turns {
    waiting: VecDeque<String>,
    /// Nodes a second; nobody goes at 0.
    rate: f64,
    /// When the last one went; the next one may go `1 / rate` later.
    last: Option<Instant>,
}

impl Turns {
    pub(super) fn new(rate: f64) -> Self {
        Self {
            waiting: VecDeque::new(),
            rate,
            last: None,
        }
    }

    /// From now on, for those who wait as well.
    pub(super) fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    /// These wait, who waited before in the same order as before, and nobody else.
    pub(super) fn set_waiting(&mut self, mut wanting: BTreeSet<String>) {
        self.waiting.retain(|node| wanting.remove(node));
        self.waiting.extend(wanting);
    }

    /// When the next one may go; `None` while nobody waits, or nobody may.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        if self.waiting.is_empty() || self.rate <= 0.0 {
            return None;
        }
        let pause = Duration::try_from_secs_f64(1.0 / self.rate).unwrap_or(Duration::MAX);
        match self.last {
            None => Some(now),
            Some(last) => last.checked_add(pause).map(|at| at.max(now)),
        }
    }

    /// Takes the node whose turn has come, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> Option<String> {
        if self.next(now).is_none_or(|at| at > now) {
            return None;
        }
        self.last = Some(now);
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_go_one_after_another_at_the_rate_of_their_zone() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut turns = Turns::new(0.1);
        assert_eq!(turns.next(start), None);
        let names = |names: &str| names.split(' ').map(str::to_owned).collect();
        turns.set_waiting(names("b c d"));
        turns.set_waiting(names("a b c d"));
        assert_eq!(turns.take(start).as_deref(), Some("b"), "the first at once");
        assert_eq!(turns.take(at(9)), None);
        assert_eq!(turns.next(at(9)), Some(at(10)));
        assert_eq!(turns.take(at(10)).as_deref(), Some("c"));
        turns.set_rate(0.0);
        assert_eq!((turns.take(at(100)), turns.next(at(100))), (None, None));
        turns.set_rate(0.01);
        assert_eq!(turns.next(at(100)), Some(at(110)));
        turns.set_waiting(names("a"));
        assert_eq!(turns.take(at(110)).as_deref(), Some("a"), "d is well again");
        assert_eq!(turns.take(at(1000)), None);
    }
}
