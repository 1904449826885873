//! Pods that are to be spread evenly over nodes, zones and the like.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PodSpec;

use super::Reason;
use super::node_affinity::NodeAffinity;
use super::spread_constraint::Constraint;
use super::taint_toleration::TaintToleration;
use crate::limits::SCORE_MAX;
use crate::pod::PodInfo;
use crate::selector::Selector;
use crate::snapshot::{Entry, NOWHERE, NodeIndex, Snapshot};

/// Constraints of one kind: those that must hold, or those that should.
#[derive(Debug)]
struct Group {
    constraints: Vec<Constraint>,
    /// Nodes count only if they have the labels of all constraints.
    needs_all: bool,
}

impl Group {
    fn counts(&self, snapshot: &Snapshot, node: NodeIndex) -> bool {
        let mut all = self.constraints.iter();
        snapshot.object(node).is_some()
            && (!self.needs_all
                || all.all(|c| snapshot.topology(c.topology).domains[node] != NOWHERE))
    }

    fn refresh(
        &mut self,
        snapshot: &Snapshot,
        node: NodeIndex,
        affinity: &NodeAffinity,
        taints: &TaintToleration,
    ) {
        let counts = self.counts(snapshot, node);
        for one in &mut self.constraints {
            let counts = counts && one.honors(snapshot, node, affinity, taints);
            one.refresh(snapshot, node, counts);
        }
    }

    fn build(
        &mut self,
        snapshot: &Snapshot,
        pod: &PodInfo,
        affinity: &NodeAffinity,
        taints: &TaintToleration,
    ) {
        if self.constraints.is_empty() {
            return;
        }
        for node in 0..snapshot.bound() {
            self.refresh(snapshot, node, affinity, taints);
        }
        for (node, other) in snapshot.pods_in(pod.namespace()) {
            self.count(node, other, 1);
        }
    }

    fn count(&mut self, node: NodeIndex, pod: &PodInfo, sign: i64) {
        for one in &mut self.constraints {
            one.count(node, pod, sign);
        }
    }
}

/// How the pods that are there are spread, for pods of one class; kept up to date by what changes.
#[derive(Debug)]
pub(crate) struct TopologySpread {
    pod: Arc<PodInfo>,
    required: Group,
    preferred: Group,
    /// Constraints are upstream's defaults, for pods with this selector.
    default_selector: Option<Selector>,
    seen: Vec<u32>,
    round: u32,
}

impl TopologySpread {
    pub(crate) fn new(
        snapshot: &mut Snapshot,
        pod: &Arc<PodInfo>,
        spec: &PodSpec,
        affinity: &NodeAffinity,
        taints: &TaintToleration,
    ) -> Self {
        let written = spec.topology_spread_constraints.as_deref();
        let written = written.unwrap_or_default();
        let mut required = Vec::new();
        let mut preferred = Vec::new();
        for one in written {
            let constraint = Constraint::new(snapshot, pod, one);
            match one.when_unsatisfiable.as_str() {
                "DoNotSchedule" => required.push(constraint),
                _ => preferred.push(constraint),
            }
        }
        let defaulted = written.is_empty();
        let mut this = Self {
            pod: Arc::clone(pod),
            required: Group {
                constraints: required,
                needs_all: true,
            },
            preferred: Group {
                constraints: preferred,
                needs_all: !defaulted,
            },
            default_selector: defaulted.then(|| Selector::All(Vec::new())),
            seen: Vec::new(),
            round: 0,
        };
        this.required.build(snapshot, pod, affinity, taints);
        this.preferred.build(snapshot, pod, affinity, taints);
        this.select(snapshot, affinity, taints);
        this
    }

    /// Services and owners may be others: takes the defaults that follow from them.
    pub(crate) fn select(
        &mut self,
        snapshot: &mut Snapshot,
        affinity: &NodeAffinity,
        taints: &TaintToleration,
    ) {
        let Some(old) = &self.default_selector else {
            return;
        };
        let selector = snapshot.world.default_selector(&self.pod);
        if *old == selector {
            return;
        }
        self.preferred.constraints = if selector.is_empty() {
            Vec::new()
        } else {
            Constraint::defaults(snapshot, &self.pod, &selector)
        };
        self.default_selector = Some(selector);
        self.preferred.build(snapshot, &self.pod, affinity, taints);
    }

    pub(crate) fn follow(
        &mut self,
        snapshot: &Snapshot,
        entry: &Entry,
        affinity: &NodeAffinity,
        taints: &TaintToleration,
    ) {
        for group in [&mut self.required, &mut self.preferred] {
            match entry {
                Entry::PodAdded(node, pod) if pod.namespace() == self.pod.namespace() => {
                    group.count(*node, pod, 1);
                }
                Entry::PodRemoved(node, pod) if pod.namespace() == self.pod.namespace() => {
                    group.count(*node, pod, -1);
                }
                Entry::Node(node) => group.refresh(snapshot, *node, affinity, taints),
                _ => {}
            }
        }
    }

    /// After the last of what changed.
    pub(crate) fn followed(&mut self) {
        for one in &mut self.required.constraints {
            one.settle();
        }
    }

    /// Why the node does not suit, and whether fewer pods there could change that.
    pub(crate) fn refuses(&self, snapshot: &Snapshot, node: NodeIndex) -> Option<(Reason, bool)> {
        for one in &self.required.constraints {
            let domain = snapshot.topology(one.topology).domains[node];
            if domain == NOWHERE {
                return Some((Reason::SpreadLabel, false));
            }
            if one.sum(domain) + one.itself - one.least() > one.max_skew {
                return Some((Reason::Spread, true));
            }
        }
        None
    }

    pub(crate) fn has_scores(&self) -> bool {
        !self.preferred.constraints.is_empty()
    }

    pub(crate) fn score(&mut self, snapshot: &Snapshot, nodes: &[NodeIndex], scores: &mut [i64]) {
        let ignored = |group: &Group, node: NodeIndex| {
            let mut all = group.constraints.iter();
            let missing = |c: &Constraint| snapshot.topology(c.topology).domains[node] == NOWHERE;
            group.needs_all && all.any(missing)
        };
        let kept = nodes.iter().copied();
        let kept: Vec<_> = kept.filter(|n| !ignored(&self.preferred, *n)).collect();
        let mut sums = vec![0.0; nodes.len()];
        for at in 0..self.preferred.constraints.len() {
            let size = match self.preferred.constraints[at].by_node {
                true => kept.len(),
                false => self.domains_of(snapshot, at, &kept),
            };
            let weight = ((size + 2) as f64).ln();
            let one = &self.preferred.constraints[at];
            let domains = &snapshot.topology(one.topology).domains;
            for (sum, node) in sums.iter_mut().zip(nodes) {
                let domain = domains[*node];
                if domain != NOWHERE {
                    let pods = match one.by_node {
                        true => one.pods_at(*node),
                        false => one.sum(domain),
                    };
                    *sum += pods as f64 * weight + (one.max_skew - 1) as f64;
                }
            }
        }
        for ((score, sum), node) in scores.iter_mut().zip(sums).zip(nodes) {
            *score = match ignored(&self.preferred, *node) {
                true => -1,
                false => sum.round() as i64,
            };
        }
        fewest_first(scores);
    }

    /// Different domains of these nodes; having none is one too.
    fn domains_of(&mut self, snapshot: &Snapshot, constraint: usize, nodes: &[NodeIndex]) -> usize {
        let topology = snapshot.topology(self.preferred.constraints[constraint].topology);
        self.round = self.round.wrapping_add(1);
        self.seen.resize(self.seen.len().max(topology.bound()), 0);
        let mut count = 0;
        let mut nowhere = false;
        for node in nodes {
            let domain = topology.domains[*node];
            if domain == NOWHERE {
                nowhere = true;
                continue;
            }
            let seen = &mut self.seen[domain as usize];
            count += usize::from(*seen != self.round);
            *seen = self.round;
        }
        count + usize::from(nowhere)
    }
}

/// Turns counts of pods into scores; −1 is a node without the labels, which gets none.
fn fewest_first(scores: &mut [i64]) {
    let counts = || scores.iter().copied().filter(|score| *score >= 0);
    let least = counts().min().unwrap_or(0);
    let most = counts().max().unwrap_or(0);
    for score in scores {
        *score = match *score {
            -1 => 0,
            _ if most == 0 => SCORE_MAX,
            count => SCORE_MAX * (most + least - count) / most,
        };
    }
}
