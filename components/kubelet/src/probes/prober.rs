//! The probes of one pod's containers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::check::{Outcome, Target, check};
use super::count::Count;
use super::verdict::{Purpose, Verdict, Verdicts};

/// A check that failed, for an event.
#[derive(Clone, Debug)]
pub struct Probed {
    pub container: String,
    pub purpose: Purpose,
    pub outcome: Outcome,
}

/// Runs a task for each probe; dropping this ends them.
#[derive(Debug)]
pub struct Probes {
    verdicts: Arc<Mutex<Verdicts>>,
    /// Told when a verdict changes.
    wake: Arc<Notify>,
    failures: mpsc::Sender<Probed>,
    running: HashMap<String, JoinSet<()>>,
    /// The pod ends: only readiness still matters.
    ending: Arc<AtomicBool>,
}

impl Probes {
    /// Failed checks go to `failures` while there is room.
    pub fn new(wake: Arc<Notify>, failures: mpsc::Sender<Probed>) -> Self {
        Self {
            verdicts: Arc::default(),
            wake,
            failures,
            running: HashMap::new(),
            ending: Arc::default(),
        }
    }

    /// What was found so far.
    pub fn verdicts(&self) -> Verdicts {
        self.verdicts.lock().clone()
    }

    pub fn is_probed(&self, id: &str) -> bool {
        self.running.contains_key(id)
    }

    /// Begins with a container that runs since `started`. `ready`: whether it was ready when it was last seen, by a
    /// kubelet before this one.
    pub fn begin(&mut self, target: &Target, started: Timestamp, ready: bool) {
        let container = &target.container;
        let mut tasks = JoinSet::new();
        let probes = [
            (Purpose::Startup, &container.startup_probe),
            (Purpose::Liveness, &container.liveness_probe),
            (Purpose::Readiness, &container.readiness_probe),
        ];
        for (purpose, probe) in probes {
            let Some(probe) = probe else {
                continue;
            };
            let count = Count::new(purpose, probe.success_threshold, probe.failure_threshold);
            let initial = match (purpose, ready) {
                (Purpose::Readiness | Purpose::Startup, true) => Verdict::Success,
                _ => count.initial(),
            };
            self.verdicts.lock().set(&target.id, purpose, initial);
            if purpose == Purpose::Startup && ready {
                continue;
            }
            let one = One {
                verdicts: Arc::clone(&self.verdicts),
                wake: Arc::clone(&self.wake),
                failures: self.failures.clone(),
                target: target.clone(),
                purpose,
                probe: probe.clone(),
                ending: Arc::clone(&self.ending),
            };
            tasks.spawn(one.run(count, started));
        }
        self.running.insert(target.id.clone(), tasks);
    }

    /// The pod ends: nothing is started again, but whether it still serves is asked on.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Ends with all containers but these.
    pub fn keep(&mut self, living: impl Fn(&str) -> bool) {
        let mut verdicts = self.verdicts.lock();
        self.running.retain(|id, _| {
            let lives = living(id);
            if !lives {
                verdicts.forget(id);
            }
            lives
        });
    }
}

/// Whether a container has anything to check.
pub(crate) fn has_probes(container: &Container) -> bool {
    container.startup_probe.is_some()
        || container.liveness_probe.is_some()
        || container.readiness_probe.is_some()
}

struct One {
    verdicts: Arc<Mutex<Verdicts>>,
    wake: Arc<Notify>,
    failures: mpsc::Sender<Probed>,
    target: Target,
    purpose: Purpose,
    probe: Probe,
    ending: Arc<AtomicBool>,
}

impl One {
    async fn run(self, mut count: Count, started: Timestamp) {
        let age = Timestamp::now().duration_since(started);
        let age = Duration::try_from(age).unwrap_or_default();
        let delay = seconds(self.probe.initial_delay_seconds, 0);
        sleep(delay.saturating_sub(age)).await;
        let period = seconds(self.probe.period_seconds, 10).max(Duration::from_secs(1));
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.purpose != Purpose::Readiness && self.ending.load(Ordering::Relaxed) {
                return;
            }
            if self.purpose != Purpose::Startup && !self.has_started() {
                continue;
            }
            let outcome = check(&self.target, &self.probe).await;
            let success = match &outcome {
                Outcome::Success => true,
                Outcome::Failure(_) => false,
                Outcome::Error(_) => {
                    self.tell(outcome);
                    continue;
                }
            };
            if !success {
                self.tell(outcome);
            }
            let Some(verdict) = count.add(success) else {
                continue;
            };
            let changed = self
                .verdicts
                .lock()
                .set(&self.target.id, self.purpose, verdict);
            if changed {
                self.wake.notify_one();
            }
            if count.is_over(verdict) {
                return;
            }
        }
    }

    fn has_started(&self) -> bool {
        self.target.container.startup_probe.is_none()
            || self.verdicts.lock().startup(&self.target.id) == Some(Verdict::Success)
    }

    fn tell(&self, outcome: Outcome) {
        // Events are aggregated anyway: one that finds no room is no loss.
        let _ = self.failures.try_send(Probed {
            container: self.target.container.name.clone(),
            purpose: self.purpose,
            outcome,
        });
    }
}

fn seconds(given: Option<i32>, default: u64) -> Duration {
    let given = given.and_then(|seconds| u64::try_from(seconds).ok());
    Duration::from_secs(given.unwrap_or(default))
}
