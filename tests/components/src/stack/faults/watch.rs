//! Users who must not notice anything.

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;

use super::ground::Ground;
use crate::stack::{Caller, Figures, Life};

/// Clients outside and inside, and the lives of all containers, from now on.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    ground: &'a Ground<'a>,
    pub(super) caller: Caller,
    since: Instant,
    stamp: Timestamp,
    lives: BTreeMap<String, Life>,
}

impl<'a> Watch<'a> {
    pub(super) async fn begin(ground: &'a Ground<'a>) -> Self {
        let lives = ground.lives().await;
        let caller = Caller::start(ground.web.addresses());
        caller.goes_on().await;
        Self {
            ground,
            caller,
            since: Instant::now(),
            stamp: Timestamp::now(),
            lives,
        }
    }

    /// No request failed so far.
    pub(super) fn answered(&self, what: &str) {
        let failures = self.caller.failures(self.since);
        assert!(
            failures.is_empty(),
            "{what}: requests from outside failed: {failures:?}"
        );
        for inside in &self.ground.inside {
            let failures = inside.failures(self.stamp);
            let node = &inside.node;
            assert!(
                failures.is_empty(),
                "{what}: requests of a pod on {node} failed: {failures:?}"
            );
        }
    }

    /// No container was started again, and no pod was replaced.
    pub(super) async fn alive(&self, what: &str) {
        let now = self.ground.lives().await;
        assert_eq!(now, self.lives, "{what}: containers are not what they were");
    }

    /// Both, and users go on. Returns how long they waited for answers.
    pub(super) async fn undisturbed(&self, what: &str) -> Figures {
        self.caller.goes_on().await;
        for inside in &self.ground.inside {
            inside.goes_on().await;
        }
        self.answered(what);
        self.alive(what).await;
        self.caller.figures()
    }
}
