//! One decision: filter, score, choose.

use std::sync::Arc;

use crate::class::{Class, Classes, Verdict};
use crate::diagnosis::{Failure, diagnose};
use crate::limits::{FEASIBLE_NODES_MIN, FEASIBLE_PERCENT, FEASIBLE_PERCENT_MIN};
use crate::plugins::{Plugin, normalize, normalize_reversed};
use crate::pod::PodInfo;
use crate::random::Random;
use crate::snapshot::{NodeIndex, Snapshot};

/// Where a pod goes.
#[derive(Clone, Debug)]
pub enum Decision {
    Node(NodeIndex),
    Nowhere(Arc<Failure>),
}

/// Makes decisions, and remembers what helps with the next ones.
#[derive(Debug)]
pub struct Decider {
    classes: Classes,
    random: Random,
    /// Where to begin to look for nodes, so that all get their turn.
    start: usize,
    feasible: Vec<NodeIndex>,
    scores: Vec<i64>,
    totals: Vec<i64>,
}

/// Of how many nodes that fit the best is chosen.
pub(crate) fn wanted(nodes: usize) -> usize {
    if nodes < FEASIBLE_NODES_MIN {
        return nodes;
    }
    let percent = FEASIBLE_PERCENT
        .saturating_sub(nodes / 125)
        .max(FEASIBLE_PERCENT_MIN);
    (nodes * percent / 100).max(FEASIBLE_NODES_MIN)
}

impl Decider {
    /// `seed` decides between nodes that are as good as each other.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            classes: Classes::default(),
            random: Random::new(seed),
            start: 0,
            feasible: Vec::new(),
            scores: Vec::new(),
            totals: Vec::new(),
        }
    }

    /// One that goes on as this one would, but remembers nothing.
    #[cfg(test)]
    pub(crate) fn without_memory(&self) -> Self {
        Self {
            random: self.random.clone(),
            start: self.start,
            ..Self::new(0)
        }
    }

    /// The best node for a pod. The snapshot is not told: see [`Snapshot::assume`].
    pub fn decide(&mut self, snapshot: &mut Snapshot, pod: &Arc<PodInfo>) -> Decision {
        snapshot.settle();
        if snapshot.is_empty() {
            return Decision::Nowhere(Arc::new(Failure::no_nodes()));
        }
        let version = snapshot.version();
        let class = self.classes.of(snapshot, pod);
        if let Some((at, failure)) = &class.failed
            && *at == version
        {
            return Decision::Nowhere(Arc::clone(failure));
        }
        let named = class.names.as_ref().map(|names| {
            let indexes = names.iter().filter_map(|name| snapshot.index(name));
            indexes.collect::<Vec<_>>()
        });
        let nodes = named.as_deref().unwrap_or(snapshot.order());
        self.feasible.clear();
        let looked_at = find(class, snapshot, nodes, self.start, &mut self.feasible);
        self.start = (self.start + looked_at) % snapshot.len();
        match self.feasible.as_slice() {
            [] => {
                let failure = Arc::new(match &class.names {
                    Some(names) if names.is_empty() => Failure::conflict(class, snapshot.len()),
                    _ => diagnose(class, snapshot, nodes),
                });
                class.failed = Some((version, Arc::clone(&failure)));
                return Decision::Nowhere(failure);
            }
            [one] => return Decision::Node(*one),
            _ => {}
        }
        let (scores, totals) = (&mut self.scores, &mut self.totals);
        score(class, snapshot, &self.feasible, scores, totals);
        Decision::Node(self.best())
    }

    /// One of the nodes with the highest score.
    fn best(&mut self) -> NodeIndex {
        let best = self.totals.iter().copied().max().unwrap_or(0);
        let equal = self.totals.iter().filter(|total| **total == best).count();
        let chosen = self.random.below(equal.max(1));
        let all = self.feasible.iter().zip(&self.totals);
        let mut equals = all.filter(|(_, total)| **total == best);
        *equals.nth(chosen).expect("there are that many").0
    }
}

/// Finds nodes that fit, beginning at `start`, and says how many were looked at.
fn find(
    class: &mut Class,
    snapshot: &Snapshot,
    nodes: &[NodeIndex],
    start: usize,
    feasible: &mut Vec<NodeIndex>,
) -> usize {
    let wanted = wanted(nodes.len());
    let start = start % nodes.len().max(1);
    let (before, after) = nodes.split_at(start.min(nodes.len()));
    let mut looked_at = 0;
    for node in after.iter().chain(before).copied() {
        looked_at += 1;
        if class.local(snapshot, node).verdict == Verdict::Fits
            && class.spread.refuses(snapshot, node).is_none()
            && class.near.refuses(snapshot, node).is_none()
        {
            feasible.push(node);
            if feasible.len() >= wanted {
                break;
            }
        }
    }
    looked_at
}

/// Weighted sums of all scores; `scores` is room to work in.
fn score(
    class: &mut Class,
    snapshot: &Snapshot,
    nodes: &[NodeIndex],
    scores: &mut Vec<i64>,
    totals: &mut Vec<i64>,
) {
    totals.clear();
    totals.resize(nodes.len(), 0);
    scores.clear();
    scores.resize(nodes.len(), 0);
    let mut add = |scores: &[i64], plugin: Plugin| {
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += score * plugin.weight();
        }
    };
    let read = |scores: &mut [i64], of: &dyn Fn(NodeIndex) -> i64| {
        for (score, node) in scores.iter_mut().zip(nodes) {
            *score = of(*node);
        }
    };
    read(scores, &|node| i64::from(class.known(node).taints));
    normalize_reversed(scores);
    add(scores, Plugin::TaintToleration);
    if class.plugins.affinity.has_preferred() {
        read(scores, &|node| i64::from(class.known(node).affinity));
        normalize(scores);
        add(scores, Plugin::NodeAffinity);
    }
    read(scores, &|n| i64::from(class.known(n).least_allocated));
    add(scores, Plugin::NodeResourcesFit);
    read(scores, &|node| i64::from(class.known(node).balanced));
    add(scores, Plugin::NodeResourcesBalancedAllocation);
    read(scores, &|node| class.image_scores[node]);
    add(scores, Plugin::ImageLocality);
    if class.spread.has_scores() {
        class.spread.score(snapshot, nodes, scores);
        add(scores, Plugin::PodTopologySpread);
    }
    if class.near.has_scores() {
        class.near.score(nodes, scores);
        add(scores, Plugin::InterPodAffinity);
    }
}
