//! The queue.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::event::Event;
use super::hints::helps;
use super::item::{Item, State, is_gated};
use crate::diagnosis::Failure;
use crate::limits::UNSCHEDULABLE_MAX;
use crate::plugins::Plugins;
use crate::pod::PodInfo;
use crate::snapshot::Snapshot;

/// Priority, age and number: the greatest is next.
type Rank = (i32, Reverse<Instant>, Reverse<u64>, String);

/// Pods that wait, each once; there are no more than unassigned pods in the cluster.
#[derive(Debug, Default)]
pub struct Waiting {
    items: HashMap<String, Item>,
    active: BinaryHeap<Rank>,
    backoff: BinaryHeap<Reverse<(Instant, u64, String)>>,
    unschedulable: HashSet<String>,
    numbers: u64,
    /// Raised with every pod that is taken.
    cycle: u64,
    /// The cycle in which an event woke pods the last time.
    moved_in: u64,
}

/// Pods by how they wait, as `scheduler_pending_pods` shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub active: usize,
    pub backoff: usize,
    pub unschedulable: usize,
    pub gated: usize,
}

impl Waiting {
    /// A pod that has no node, as it is now; one that waits already goes on waiting unless it may fit now.
    pub fn set(&mut self, info: Arc<PodInfo>, now: Instant) {
        let uid = info.uid().to_owned();
        let Some(item) = self.items.get_mut(&uid) else {
            let item = Item::new(info, now);
            let gated = is_gated(&item.info);
            self.items.insert(uid.clone(), item);
            if !gated {
                self.activate(&uid);
            }
            return;
        };
        let old = Arc::clone(&item.info);
        let otherwise = asks_otherwise(&old, &info);
        item.replace(info);
        let gated = is_gated(&item.info);
        match item.state {
            State::Gated if !gated => self.activate(&uid),
            State::Unschedulable if otherwise => self.wake_one(&uid, now),
            _ => {}
        }
    }

    /// The pod is gone, or has a node.
    pub fn remove(&mut self, uid: &str) {
        self.items.remove(uid);
        self.unschedulable.remove(uid);
    }

    #[must_use]
    pub fn has(&self, uid: &str) -> bool {
        self.items.contains_key(uid)
    }

    /// The next pod to decide on, and the cycle of this decision.
    pub fn take(&mut self, now: Instant) -> Option<(Arc<PodInfo>, u64)> {
        self.release(now);
        while let Some((_, _, Reverse(number), uid)) = self.active.pop() {
            let Some(item) = self.items.get_mut(&uid) else {
                continue;
            };
            if item.number != number || item.state != State::Active {
                continue;
            }
            item.state = State::Taken;
            item.attempts = item.attempts.saturating_add(1);
            item.tried.get_or_insert(now);
            self.cycle += 1;
            return Some((Arc::clone(&item.info), self.cycle));
        }
        None
    }

    /// How often a pod was taken.
    #[must_use]
    pub fn attempts(&self, uid: &str) -> u32 {
        self.items.get(uid).map_or(0, |item| item.attempts)
    }

    /// When a pod was taken for the first time.
    #[must_use]
    pub fn tried_first(&self, uid: &str) -> Option<Instant> {
        self.items.get(uid)?.tried
    }

    /// No node suits a pod that was taken: it waits for an event, unless one came in between.
    pub fn unschedulable(&mut self, uid: &str, failure: &Failure, cycle: u64, now: Instant) {
        self.failed(uid, failure.plugins, now);
        let Some(item) = self.items.get_mut(uid) else {
            return;
        };
        if self.moved_in >= cycle {
            self.back_off(uid);
        } else {
            item.state = State::Unschedulable;
            self.unschedulable.insert(uid.to_owned());
        }
    }

    /// Something else went wrong with a pod that was taken: it is tried again after its backoff.
    pub fn error(&mut self, uid: &str, now: Instant) {
        self.failed(uid, Plugins::default(), now);
        self.back_off(uid);
    }

    fn failed(&mut self, uid: &str, plugins: Plugins, now: Instant) {
        if let Some(item) = self.items.get_mut(uid) {
            item.failed_at = now;
            item.since = now;
            item.plugins = plugins;
        }
    }

    /// Wakes the pods that an event may help.
    pub fn wake(&mut self, event: Event<'_>, snapshot: &Snapshot, now: Instant) {
        self.moved_in = self.cycle;
        let helped = |uid: &&String| {
            let item = self.items.get(*uid);
            item.is_some_and(|item| helps(item, event, snapshot))
        };
        let helped: Vec<String> = self.unschedulable.iter().filter(helped).cloned().collect();
        for uid in helped {
            self.wake_one(&uid, now);
        }
    }

    /// Tries again what no event has woken for five minutes.
    pub fn flush(&mut self, now: Instant) {
        let old = |uid: &&String| {
            let item = self.items.get(*uid);
            item.is_some_and(|item| {
                now.saturating_duration_since(item.failed_at) >= UNSCHEDULABLE_MAX
            })
        };
        let old: Vec<String> = self.unschedulable.iter().filter(old).cloned().collect();
        for uid in old {
            self.wake_one(&uid, now);
        }
    }

    /// When the next backoff ends.
    #[must_use]
    pub fn next_release(&self) -> Option<Instant> {
        self.backoff.peek().map(|Reverse((at, ..))| *at)
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for item in self.items.values() {
            match item.state {
                State::Gated => counts.gated += 1,
                State::Active => counts.active += 1,
                State::Backoff => counts.backoff += 1,
                State::Unschedulable => counts.unschedulable += 1,
                State::Taken => {}
            }
        }
        counts
    }

    fn wake_one(&mut self, uid: &str, now: Instant) {
        self.unschedulable.remove(uid);
        let Some(item) = self.items.get(uid) else {
            return;
        };
        if item.backoff_ends() > now {
            self.back_off(uid);
        } else {
            self.activate(uid);
        }
    }

    fn back_off(&mut self, uid: &str) {
        self.numbers += 1;
        if let Some(item) = self.items.get_mut(uid) {
            item.state = State::Backoff;
            item.number = self.numbers;
            let entry = (item.backoff_ends(), self.numbers, uid.to_owned());
            self.backoff.push(Reverse(entry));
        }
    }

    fn activate(&mut self, uid: &str) {
        self.numbers += 1;
        if let Some(item) = self.items.get_mut(uid) {
            item.state = State::Active;
            item.number = self.numbers;
            let rank = (
                item.info.priority(),
                Reverse(item.since),
                Reverse(self.numbers),
                uid.to_owned(),
            );
            self.active.push(rank);
        }
    }

    /// Backoffs that have passed.
    fn release(&mut self, now: Instant) {
        while let Some(Reverse((at, ..))) = self.backoff.peek()
            && *at <= now
        {
            let Some(Reverse((_, number, uid))) = self.backoff.pop() else {
                return;
            };
            let item = self.items.get(&uid);
            if item.is_some_and(|i| i.number == number && i.state == State::Backoff) {
                self.activate(&uid);
            }
        }
    }
}

/// Whether a change of a pod that does not fit may make it fit.
fn asks_otherwise(old: &PodInfo, new: &PodInfo) -> bool {
    let spec = |pod: &PodInfo| {
        let spec = pod.spec();
        (
            spec.tolerations.clone(),
            spec.node_selector.clone(),
            spec.affinity.clone(),
        )
    };
    !old.weighs_as(new) || spec(old) != spec(new)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::tests::support::{asks, merge, node, placed, pod, snapshot};
    use crate::{Decider, Decision};

    const SECOND: Duration = Duration::from_secs(1);

    fn priority(name: &str, priority: i32) -> Arc<PodInfo> {
        pod(name, json!({"spec": {"priority": priority}}))
    }

    fn taken(waiting: &mut Waiting, now: Instant) -> Option<String> {
        waiting.take(now).map(|(pod, _)| pod.name().to_owned())
    }

    #[test]
    fn the_most_important_is_first_and_then_the_oldest() {
        let mut waiting = Waiting::default();
        let now = Instant::now();
        waiting.set(priority("second", 5), now);
        waiting.set(priority("third", 5), now + SECOND);
        waiting.set(priority("last", 0), now);
        waiting.set(priority("first", 9), now + SECOND);
        waiting.set(priority("gone", 9), now);
        waiting.remove("gone");
        let all = std::iter::from_fn(|| taken(&mut waiting, now));
        assert_eq!(
            all.collect::<Vec<_>>(),
            ["first", "second", "third", "last"]
        );
    }

    #[test]
    fn errors_are_tried_again_after_one_second_two_four_eight_and_ten() {
        let mut waiting = Waiting::default();
        let mut now = Instant::now();
        waiting.set(pod("p", json!({})), now);
        for pause in [1, 2, 4, 8, 10, 10] {
            assert_eq!(taken(&mut waiting, now).as_deref(), Some("p"));
            waiting.error("p", now);
            assert_eq!(waiting.next_release(), Some(now + SECOND * pause));
            assert_eq!(
                taken(
                    &mut waiting,
                    now + SECOND * pause - Duration::from_millis(1)
                ),
                None
            );
            now += SECOND * pause;
        }
    }

    #[test]
    fn gated_pods_wait_for_their_gates() {
        let mut waiting = Waiting::default();
        let now = Instant::now();
        let gated = json!({"spec": {"schedulingGates": [{"name": "g"}]}});
        waiting.set(pod("p", gated), now);
        assert_eq!(waiting.counts().gated, 1);
        assert_eq!(taken(&mut waiting, now), None);
        waiting.set(pod("p", json!({})), now);
        assert_eq!(taken(&mut waiting, now).as_deref(), Some("p"));
    }

    /// A pod that fits nowhere, with what was said.
    fn stuck(all: &mut Snapshot, more: Value) -> (Waiting, Instant) {
        let mut waiting = Waiting::default();
        let now = Instant::now();
        waiting.set(pod("p", more), now);
        let (taken, cycle) = waiting.take(now).expect("it is there");
        let Decision::Nowhere(failure) = Decider::new(1).decide(all, &taken) else {
            panic!("it should not fit");
        };
        waiting.unschedulable("p", &failure, cycle, now);
        assert_eq!(waiting.counts().unschedulable, 1);
        (waiting, now + SECOND * 60)
    }

    #[test]
    fn only_events_that_may_help_wake_a_pod() {
        let full = || {
            snapshot(
                &[node("n", json!({}))],
                &[placed("q", "n", asks("4", "1Gi"))],
            )
        };
        let set = |all: &mut Snapshot, node: Value| {
            let node: k8s_openapi::api::core::v1::Node =
                serde_json::from_value(node).expect("a node");
            let name = node.metadata.name.clone().expect("it has one");
            let change = all.set_node(&Arc::new(node));
            (all.index(&name).expect("it is there"), change)
        };
        for (what, changed, wakes) in [
            (
                "another label",
                node("n", json!({"metadata": {"labels": {"a": "b"}}})),
                false,
            ),
            (
                "a node too small",
                node("m", json!({"status": {"allocatable": {"cpu": "1"}}})),
                false,
            ),
            ("a node", node("m", json!({})), true),
            (
                "more CPUs",
                node("n", json!({"status": {"allocatable": {"cpu": "9"}}})),
                true,
            ),
        ] {
            let mut all = full();
            let (mut waiting, later) = stuck(&mut all, asks("2", "1Gi"));
            let (index, change) = set(&mut all, changed);
            waiting.wake(Event::Node(index, change), &all, later);
            assert_eq!(taken(&mut waiting, later).is_some(), wakes, "{what}");
        }
        let mut all = full();
        let (mut waiting, later) = stuck(&mut all, asks("2", "1Gi"));
        waiting.wake(Event::Namespace, &all, later);
        assert_eq!(taken(&mut waiting, later), None);
        let gone = all.remove_pod("q").expect("it was there");
        waiting.wake(Event::PodGone(&gone), &all, later);
        assert_eq!(taken(&mut waiting, later).as_deref(), Some("p"));
    }

    #[test]
    fn an_event_during_the_decision_is_not_lost() {
        let mut all = snapshot(&[node("n", json!({"spec": {"unschedulable": true}}))], &[]);
        let mut waiting = Waiting::default();
        let now = Instant::now();
        waiting.set(pod("p", json!({})), now);
        let (taken_pod, cycle) = waiting.take(now).expect("it is there");
        let Decision::Nowhere(failure) = Decider::new(1).decide(&mut all, &taken_pod) else {
            panic!("it should not fit");
        };
        waiting.wake(Event::NodeGone, &all, now);
        waiting.unschedulable("p", &failure, cycle, now);
        assert_eq!(waiting.counts().backoff, 1);
        assert_eq!(taken(&mut waiting, now + SECOND).as_deref(), Some("p"));
    }

    #[test]
    fn after_five_minutes_a_pod_is_tried_whatever_happens_or_when_it_asks_otherwise() {
        let cordoned = || snapshot(&[node("n", json!({"spec": {"unschedulable": true}}))], &[]);
        let (mut waiting, later) = stuck(&mut cordoned(), json!({}));
        waiting.flush(later);
        assert_eq!(taken(&mut waiting, later), None);
        waiting.flush(later + SECOND * 240);
        assert_eq!(
            taken(&mut waiting, later + SECOND * 240).as_deref(),
            Some("p")
        );
        let (mut waiting, later) = stuck(&mut cordoned(), json!({}));
        let mut more = json!({"status": {"phase": "Pending"}});
        waiting.set(pod("p", more.clone()), later);
        assert_eq!(taken(&mut waiting, later), None, "it asks for the same");
        merge(
            &mut more,
            &json!({"spec": {"tolerations": [{"operator": "Exists"}]}}),
        );
        waiting.set(pod("p", more), later);
        assert_eq!(taken(&mut waiting, later).as_deref(), Some("p"));
    }
}
