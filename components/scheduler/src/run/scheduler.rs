//! The loop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use mainstay_client::metrics::Metrics;
use mainstay_client::{Events, Informers, Key};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep_until;

use super::bind::{Done, Outcome, bind};
use super::condition;
use super::figures::{Ended, Figures};
use super::follow::Followed;
use super::inbox::{Inbox, Sources};
use crate::decide::{Decider, Decision};
use crate::limits::{DECISIONS_AT_ONCE, FLUSH_INTERVAL, MESSAGE_MAX, SHOW_INTERVAL, WRITES_MAX};
use crate::pod::PodInfo;

/// What can be set from outside.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pods with this `spec.schedulerName` are ours.
    pub scheduler_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scheduler_name: "default-scheduler".to_owned(),
        }
    }
}

/// Finds nodes for pods, until the task is dropped. `client` writes in the scheduler's name.
pub async fn schedule(
    client: Client,
    informers: &Informers,
    events: Events,
    metrics: &Metrics,
    options: Options,
) {
    let inbox = Arc::new(Inbox::default());
    let sources = Sources::new(informers, &inbox);
    sources.synced().await;
    let (done, results) = mpsc::channel(WRITES_MAX);
    let scheduler = Scheduler {
        figures: Figures::new(metrics, &options.scheduler_name),
        followed: Followed::new(&options.scheduler_name),
        decider: Decider::new(rand::random()),
        writes: Arc::new(Semaphore::new(WRITES_MAX)),
        binding: HashMap::new(),
        client,
        events,
        inbox,
        sources,
        done,
        results,
    };
    scheduler.run().await;
}

/// A pod whose binding is being written.
struct Binding {
    pod: Arc<PodInfo>,
    since: Instant,
    /// Of the first attempt.
    tried: Instant,
    tries: u32,
}

struct Scheduler {
    client: Client,
    events: Events,
    inbox: Arc<Inbox>,
    sources: Sources,
    followed: Followed,
    decider: Decider,
    figures: Figures,
    writes: Arc<Semaphore>,
    binding: HashMap<String, Binding>,
    done: mpsc::Sender<Done>,
    results: mpsc::Receiver<Done>,
}

impl Scheduler {
    async fn run(mut self) {
        let mut flush_at = Instant::now() + FLUSH_INTERVAL;
        let mut shown_at = Instant::now();
        loop {
            let now = Instant::now();
            let names = self.inbox.take();
            self.followed.follow(&names, &self.sources, now);
            while let Ok(done) = self.results.try_recv() {
                self.finish(done);
            }
            if now >= flush_at {
                self.followed.waiting.flush(now);
                flush_at = now + FLUSH_INTERVAL;
            }
            let more = self.decide_some();
            if !more || now >= shown_at + SHOW_INTERVAL {
                self.show();
                shown_at = now;
            }
            if more {
                tokio::task::yield_now().await;
                continue;
            }
            let release = self.followed.waiting.next_release();
            let wake = release.map_or(flush_at, |at| at.min(flush_at));
            tokio::select! {
                () = self.inbox.changed.notified() => {}
                done = self.results.recv() => done.into_iter().for_each(|d| self.finish(d)),
                () = sleep_until(wake.into()) => {}
            }
        }
    }

    fn show(&self) {
        let Followed {
            snapshot, waiting, ..
        } = &self.followed;
        self.figures.waiting(waiting.counts());
        let (nodes, pods) = (snapshot.len(), snapshot.pods_placed());
        self.figures.known(nodes, pods, self.binding.len());
    }

    /// Decides on some pods; true if there may be more that can be decided on now.
    fn decide_some(&mut self) -> bool {
        for _ in 0..DECISIONS_AT_ONCE {
            // Without room to write it down nothing is decided; the end of a write wakes this up.
            let Ok(permit) = Arc::clone(&self.writes).try_acquire_owned() else {
                return false;
            };
            let now = Instant::now();
            let Some((pod, cycle)) = self.followed.waiting.take(now) else {
                return false;
            };
            self.decide(&pod, cycle, now, permit);
        }
        true
    }

    fn decide(
        &mut self,
        pod: &Arc<PodInfo>,
        cycle: u64,
        now: Instant,
        permit: OwnedSemaphorePermit,
    ) {
        let decision = self.decider.decide(&mut self.followed.snapshot, pod);
        self.figures.decided(now.elapsed());
        let tries = self.followed.waiting.attempts(pod.uid());
        match decision {
            Decision::Node(node) => {
                self.followed.snapshot.assume(pod, node);
                let name = self.followed.snapshot.name(node).to_owned();
                self.bind(pod, name, now, tries, permit);
            }
            Decision::Nowhere(failure) => {
                let waiting = &mut self.followed.waiting;
                waiting.unschedulable(pod.uid(), &failure, cycle, Instant::now());
                let took = now.elapsed();
                self.figures.ended(Ended::Unschedulable, took, tries);
                if let Some(object) = pod.object() {
                    self.tell(object, "Unschedulable", &failure.message, permit);
                }
            }
        }
    }

    fn bind(
        &mut self,
        pod: &Arc<PodInfo>,
        node: String,
        since: Instant,
        tries: u32,
        permit: OwnedSemaphorePermit,
    ) {
        let binding = Binding {
            pod: Arc::clone(pod),
            since,
            tried: self
                .followed
                .waiting
                .tried_first(pod.uid())
                .unwrap_or(since),
            tries,
        };
        self.binding.insert(pod.uid().to_owned(), binding);
        let key = Key::new(pod.namespace(), pod.name());
        let writing = bind(self.client.clone(), key, pod.uid().to_owned(), node);
        let (results, inbox) = (self.done.clone(), Arc::clone(&self.inbox));
        tokio::spawn(async move {
            let done = writing.await;
            // There are as many places as permits: this does not wait. Nobody is there to hear it at the end.
            let _ = results.send(done).await;
            drop(permit);
            inbox.changed.notify_one();
        });
    }

    /// After a binding was written, or was not.
    fn finish(&mut self, done: Done) {
        let Some(binding) = self.binding.remove(&done.uid) else {
            return;
        };
        let took = binding.since.elapsed();
        let now = Instant::now();
        match &done.outcome {
            Outcome::Bound => {
                self.figures.ended(Ended::Scheduled, took, binding.tries);
                self.figures.bound(binding.tried.elapsed(), binding.tries);
                self.followed.waiting.remove(&done.uid);
                let text = format!("Successfully assigned {} to {}", done.key, done.node);
                if let Some(object) = binding.pod.object() {
                    self.events.normal(object.as_ref(), "Scheduled", text);
                }
            }
            Outcome::Gone => {
                self.figures.ended(Ended::Error, took, binding.tries);
                self.forget(&done, now);
                self.followed.waiting.remove(&done.uid);
            }
            Outcome::Failed(error) => {
                self.figures.ended(Ended::Error, took, binding.tries);
                self.forget(&done, now);
                tracing::warn!(pod = %done.key, node = done.node, "binding: {error}");
                if self.followed.awaits(&done.key, &done.uid)
                    && self.followed.waiting.has(&done.uid)
                {
                    self.followed.waiting.error(&done.uid, now);
                    let text = format!("running Bind plugin \"DefaultBinder\": {error}");
                    if let Ok(permit) = Arc::clone(&self.writes).try_acquire_owned()
                        && let Some(object) = binding.pod.object()
                    {
                        self.tell(object, "SchedulerError", &text, permit);
                    }
                }
            }
        }
    }

    /// What was assumed is not so: others may have the place.
    fn forget(&mut self, done: &Done, now: Instant) {
        let assumed = self.followed.snapshot.is_assumed(&done.uid);
        let info = self.followed.snapshot.pod(&done.uid).cloned();
        if let Some(info) = info.filter(|_| assumed) {
            self.followed.snapshot.forget(&done.uid);
            let event = crate::queue::Event::PodGone(&info);
            self.followed
                .waiting
                .wake(event, &self.followed.snapshot, now);
        }
        // What was heard of it meanwhile was not looked at.
        let pod = self.sources.pods.cache().get(&done.key);
        self.followed.follow_pod(&done.key, pod, now);
    }

    /// Tells users, and the pod's status if it says something else.
    fn tell(&self, pod: &Arc<Pod>, reason: &str, message: &str, permit: OwnedSemaphorePermit) {
        let message = shortened(message);
        self.events
            .warning(pod.as_ref(), "FailedScheduling", message.clone());
        // As it is now: what was decided on may have got its condition meanwhile.
        let key = Key::of(pod.as_ref());
        let current = self.sources.pods.cache().get(&key);
        let same = current.filter(|current| current.metadata.uid == pod.metadata.uid);
        let Some(current) = same else {
            return;
        };
        let Some(condition) = condition::needed(&current, reason, &message) else {
            return;
        };
        let (client, inbox) = (self.client.clone(), Arc::clone(&self.inbox));
        tokio::spawn(async move {
            match condition::write(client, &current, condition).await {
                Ok(()) => {}
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => tracing::warn!(pod = %key, "writing its condition: {error}"),
            }
            drop(permit);
            // Decisions may have waited for room to write them down.
            inbox.changed.notify_one();
        });
    }
}

/// Of [`MESSAGE_MAX`] bytes at most, with upstream's mark that there was more.
fn shortened(message: &str) -> String {
    const MORE: &str = " ...";
    if message.len() <= MESSAGE_MAX {
        return message.to_owned();
    }
    let mut ends = (0..=MESSAGE_MAX - MORE.len()).rev();
    let end = ends.find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{MORE}", &message[..end])
}
