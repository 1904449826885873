//! Whether silence is the nodes' or this controller's own.
//!
//! A process that was stopped, or that no apiserver answers, hears of no node. When it comes back its caches are old,
//! and to judge by them would take all pods of a healthy cluster out of service (upstream issue 127352: a store that
//! stood still for 41 s did so). So before nodes are given up the apiserver is asked something, and whenever it was
//! found not to answer, or no round was made for long, every node is given its time anew.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Sight {
    /// The last round's end.
    ended: Option<Instant>,
    blind: bool,
}

impl Sight {
    /// Begins a round. `true` says that this process did nothing for longer than `gap`.
    pub(super) fn begin(&self, now: Instant, gap: Duration) -> bool {
        let ended = self.ended;
        ended.is_some_and(|ended| now.saturating_duration_since(ended) > gap)
    }

    pub(super) fn end(&mut self, now: Instant) {
        self.ended = Some(now);
    }

    /// Whether the apiserver has answered; it is asked while a node is silent. `true` says that it does again.
    pub(super) fn answered(&mut self, answered: bool) -> bool {
        let was_blind = std::mem::replace(&mut self.blind, !answered);
        was_blind && answered
    }

    /// Whether nothing can be said about nodes.
    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_that_are_far_apart_have_seen_nothing() {
        let start = Instant::now();
        let gap = Duration::from_secs(25);
        let mut sight = Sight::default();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(!sight.begin(at(0), gap), "the first one has no past");
        sight.end(at(60));
        assert!(!sight.begin(at(65), gap), "the round itself was long");
        sight.end(at(65));
        assert!(sight.begin(at(91), gap), "the process was stopped");
    }

    #[test]
    fn sight_is_back_once() {
        let mut sight = Sight::default();
        assert!(!sight.answered(true));
        assert!(!sight.answered(false));
        assert!(sight.is_blind());
        assert!(!sight.answered(false));
        assert!(sight.answered(true));
        assert!(!sight.is_blind());
        assert!(!sight.answered(true));
    }
}
