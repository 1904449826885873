//! What is remembered between decisions changes none: each is compared with one that is made from nothing.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use super::support::{asks, labelled, merge, node, placed, pod};
use crate::random::Random;
use crate::{Decider, Decision, PodInfo, Snapshot};

/// The cluster, as plain as it can be.
#[derive(Default)]
struct Model {
    nodes: Vec<(String, Arc<Node>)>,
    pods: Vec<(Arc<PodInfo>, Value)>,
}

impl Model {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (_, node) in &self.nodes {
            snapshot.set_node(node);
        }
        for (pod, _) in &self.pods {
            snapshot.set_pod(pod);
        }
        snapshot
    }
}

fn some_node(random: &mut Random, name: &str) -> Value {
    let mut made = node(
        name,
        json!({"status": {"allocatable": {"cpu": random.below(6).to_string()}}}),
    );
    if random.below(5) > 0 {
        let zone = ["a", "b", "c"][random.below(3)];
        merge(
            &mut made,
            &json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}}),
        );
    }
    if random.below(4) == 0 {
        let effect = ["NoSchedule", "PreferNoSchedule"][random.below(2)];
        merge(
            &mut made,
            &json!({"spec": {"taints": [{"key": "k", "effect": effect}]}}),
        );
    }
    if random.below(8) == 0 {
        merge(&mut made, &json!({"spec": {"unschedulable": true}}));
    }
    if random.below(3) == 0 {
        merge(
            &mut made,
            &json!({"status": {"images": [{"names": ["app:1"], "sizeBytes": 500_000_000}]}}),
        );
    }
    made
}

/// One of a few makes, so that classes are met again.
fn some_pod(random: &mut Random) -> Value {
    let app = ["web", "db", "batch"][random.below(3)];
    let mut made = labelled("app", app);
    let zone = "topology.kubernetes.io/zone";
    let term = |app: &str, key: &str| json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}});
    let spread = |when: &str, key: &str, taints: &str| {
        json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": key,
        "whenUnsatisfiable": when, "nodeTaintsPolicy": taints, "labelSelector": {"matchLabels": {"app": app}}}]}})
    };
    let more = match random.below(9) {
        0 => asks("500m", "1Gi"),
        1 => spread("DoNotSchedule", zone, "Honor"),
        2 => spread("DoNotSchedule", "kubernetes.io/hostname", "Ignore"),
        3 => spread("ScheduleAnyway", zone, "Ignore"),
        4 => {
            json!({"spec": {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term(app, zone)]}}}})
        }
        5 => {
            json!({"spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            [term(app, "kubernetes.io/hostname")]}}}})
        }
        6 => json!({"spec": {"affinity": {
            "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 30, "podAffinityTerm": term("db", zone)}]},
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 70, "podAffinityTerm": term("web", zone)}]}}}}),
        7 => {
            json!({"spec": {"tolerations": [{"key": "k", "operator": "Exists"}], "nodeSelector": {zone: "a"}}})
        }
        _ => json!({}),
    };
    merge(&mut made, &more);
    made
}

struct Run {
    random: Random,
    model: Model,
    fast: Snapshot,
    decider: Decider,
}

impl Run {
    fn change(&mut self, step: usize) {
        let random = &mut self.random;
        match random.below(12) {
            0..=1 => {
                let name = format!("n{}", random.below(30));
                let made = some_node(random, &name);
                let made = Arc::new(serde_json::from_value(made).expect("a node"));
                self.fast.set_node(&made);
                let nodes = &mut self.model.nodes;
                match nodes.iter_mut().find(|(other, _)| *other == name) {
                    Some((_, node)) => *node = made,
                    None => nodes.push((name, made)),
                }
            }
            2 if self.model.nodes.len() > 5 && random.below(3) == 0 => {
                let at = random.below(self.model.nodes.len());
                let (name, _) = self.model.nodes.remove(at);
                self.fast.remove_node(&name);
            }
            3 if !self.model.pods.is_empty() => {
                let at = random.below(self.model.pods.len());
                let (pod, _) = self.model.pods.swap_remove(at);
                self.fast.remove_pod(pod.uid());
            }
            4 if !self.model.pods.is_empty() => {
                let at = random.below(self.model.pods.len());
                let (old, more) = &mut self.model.pods[at];
                let change = match random.below(2) {
                    0 => json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
                    _ => labelled("app", "db"),
                };
                merge(more, &change);
                let on = old.node().expect("it is at one").to_owned();
                *old = placed(old.uid(), &on, more.clone());
                self.fast.set_pod(old);
            }
            _ => self.decide(step),
        }
    }

    fn decide(&mut self, step: usize) {
        let name = format!("p{step}");
        let more = some_pod(&mut self.random);
        let wanted: Arc<PodInfo> = pod(&name, more.clone());
        let mut fresh = self.model.snapshot();
        let slow = self.decider.without_memory().decide(&mut fresh, &wanted);
        let fast = self.decider.decide(&mut self.fast, &wanted);
        match (slow, fast) {
            (Decision::Node(slow), Decision::Node(fast)) => {
                assert_eq!(
                    fresh.name(slow),
                    self.fast.name(fast),
                    "step {step}: {more}"
                );
                let on = self.fast.name(fast).to_owned();
                self.fast.assume(&wanted, fast);
                let seen = placed(&name, &on, more.clone());
                if self.random.below(2) == 0 {
                    self.fast.set_pod(&seen);
                }
                self.model.pods.push((seen, more));
            }
            (Decision::Nowhere(slow), Decision::Nowhere(fast)) => {
                assert_eq!(slow.message, fast.message, "step {step}: {more}");
            }
            (slow, fast) => panic!("step {step}: {slow:?} and {fast:?} for {more}"),
        }
    }
}

#[test]
fn decisions_do_not_depend_on_what_was_decided_before() {
    for seed in 0..8 {
        let mut run = Run {
            random: Random::new(seed),
            model: Model::default(),
            fast: Snapshot::default(),
            decider: Decider::new(seed),
        };
        for step in 0..300 {
            run.change(step);
        }
    }
}
