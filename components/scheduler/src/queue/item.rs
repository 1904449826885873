//! A pod that waits.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::class::LocalPlugins;
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};
use crate::plugins::Plugins;
use crate::pod::PodInfo;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Gated,
    Active,
    Backoff,
    Unschedulable,
    /// Taken, and not yet bound or failed.
    Taken,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) info: Arc<PodInfo>,
    pub(super) state: State,
    /// When it began to wait: of equals the oldest comes first.
    pub(super) since: Instant,
    pub(super) attempts: u32,
    /// When it was taken for the first time.
    pub(super) tried: Option<Instant>,
    pub(super) failed_at: Instant,
    /// Who ruled out nodes for it the last time.
    pub(super) plugins: Plugins,
    /// Entries of heaps with another number are void.
    pub(super) number: u64,
    local: OnceLock<LocalPlugins>,
}

impl Item {
    pub(super) fn new(info: Arc<PodInfo>, now: Instant) -> Self {
        Self {
            info,
            state: State::Gated,
            since: now,
            attempts: 0,
            tried: None,
            failed_at: now,
            plugins: Plugins::default(),
            number: 0,
            local: OnceLock::new(),
        }
    }

    /// When it may be tried again after its failures: a second after the first, ten at most.
    pub(super) fn backoff_ends(&self) -> Instant {
        match self.attempts.checked_sub(1) {
            None => self.failed_at,
            Some(doublings) => {
                let pause = BACKOFF_MIN.saturating_mul(1 << doublings.min(8));
                self.failed_at + pause.min(BACKOFF_MAX)
            }
        }
    }

    pub(super) fn replace(&mut self, info: Arc<PodInfo>) {
        self.info = info;
        self.local = OnceLock::new();
    }

    pub(super) fn local(&self) -> &LocalPlugins {
        self.local
            .get_or_init(|| LocalPlugins::new(&self.info, self.info.spec()))
    }
}

/// Whether somebody wants the pod not to be looked at yet.
pub(super) fn is_gated(pod: &PodInfo) -> bool {
    let gates = pod.spec().scheduling_gates.as_ref();
    gates.is_some_and(|gates| !gates.is_empty())
}
