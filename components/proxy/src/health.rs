//! Whether rules follow what the apiserver says.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

/// Shared by who writes rules and who is asked.
#[derive(Debug)]
pub struct Health {
    /// A change that waits longer makes the proxy unhealthy.
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    updated: Option<jiff::Timestamp>,
    /// The oldest change that is not in the rules.
    waiting: Option<Instant>,
    /// The oldest of those that are being written.
    in_work: Option<Instant>,
    eligible: bool,
}

impl Health {
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            state: Mutex::default(),
        }
    }

    /// Something changed.
    pub fn queued(&self, now: Instant) {
        self.state.lock().waiting.get_or_insert(now);
    }

    /// What has changed so far is being written.
    pub fn begun(&self) {
        let mut state = self.state.lock();
        state.in_work = state.in_work.take().or(state.waiting);
        state.waiting = None;
    }

    /// It is written.
    pub fn updated(&self) {
        let mut state = self.state.lock();
        state.in_work = None;
        state.updated = Some(jiff::Timestamp::now());
    }

    /// It could not be written, and is tried again.
    pub fn failed(&self, now: Instant) {
        let mut state = self.state.lock();
        let since = state.in_work.take().unwrap_or(now);
        state.waiting = Some(since);
    }

    /// Whether load balancers may send to this node.
    pub fn set_eligible(&self, eligible: bool) {
        self.state.lock().eligible = eligible;
    }

    /// Whether nothing has waited for too long.
    #[must_use]
    pub fn is_healthy(&self, now: Instant) -> bool {
        let state = self.state.lock();
        let oldest = state.in_work.into_iter().chain(state.waiting).min();
        oldest.is_none_or(|since| now.duration_since(since) < self.patience)
    }

    /// Page `/healthz`, and `/livez` that does not ask whether the node is going to be taken away.
    #[must_use]
    pub fn page(&self, now: Instant, is_live: bool) -> (bool, Value) {
        let healthy = self.is_healthy(now);
        let state = self.state.lock();
        let current = jiff::Timestamp::now();
        let updated = state.updated.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let ok = healthy && (is_live || state.eligible);
        let mut page = json!({
            // Upstream tells this moment while all is well, for those who compare the two.
            "lastUpdated": if ok { current } else { updated }.to_string(),
            "currentTime": current.to_string(),
            "healthy": healthy,
            "status": {"IPv4": {"lastUpdated": updated.to_string(), "healthy": healthy}},
        });
        if !is_live {
            page["nodeEligible"] = json!(state.eligible);
        }
        (ok, page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_too_long_is_unhealthy_and_a_node_that_goes_is_not_for_balancers() {
        let patience = Duration::from_secs(60);
        let health = Health::new(patience);
        let start = Instant::now();
        let late = start + patience;
        let at = |now| (health.page(now, false).0, health.page(now, true).0);
        assert_eq!(at(late), (false, true), "the node is not known yet");
        health.set_eligible(true);
        assert_eq!(at(late), (true, true), "nothing waits");
        health.queued(start);
        health.queued(late);
        assert_eq!(at(start), (true, true));
        assert_eq!(at(late), (false, false), "the oldest counts");
        health.begun();
        assert_eq!(at(late), (false, false), "it is not written yet");
        health.failed(late);
        assert_eq!(at(late), (false, false));
        health.begun();
        health.queued(late);
        health.updated();
        assert_eq!(at(late), (true, true));
        assert_eq!(at(late + patience), (false, false), "what came meanwhile");
        let page = health.page(late, false).1;
        assert_eq!(page["nodeEligible"], true);
        assert!(health.page(late, true).1.get("nodeEligible").is_none());
    }
}
