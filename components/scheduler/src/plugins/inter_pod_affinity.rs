//! Pods that are to be near to others, or far from them.

use std::sync::Arc;

use super::Reason;
use super::affinity::Sums;
use crate::limits::SCORE_MAX;
use crate::pod::{PodInfo, Terms};
use crate::selector::Labels;
use crate::snapshot::{Entry, NOWHERE, NodeIndex, Snapshot, TopologyId};

/// Weight of the required terms of pods that are there already, for those they want near to them.
const HARD_WEIGHT: i64 = 1;

/// What the pods that are there mean for pods of one class; kept up to date by what changes.
#[derive(Debug)]
pub(crate) struct InterPodAffinity {
    pod: Arc<PodInfo>,
    namespace_labels: Labels,
    affinity_topologies: Vec<TopologyId>,
    anti_topologies: Vec<TopologyId>,
    /// Pods that match all required terms.
    affinity: Sums,
    anti: Sums,
    /// Terms of pods there that keep this one away.
    existing: Sums,
    scores: Sums,
    /// Matches its own required terms.
    matches_itself: bool,
    /// Nothing anywhere matches the required terms.
    is_first: bool,
}

impl InterPodAffinity {
    pub(crate) fn new(snapshot: &mut Snapshot, pod: &Arc<PodInfo>) -> Self {
        let none = Terms::default();
        let terms = pod.terms.as_deref().unwrap_or(&none);
        for term in terms.all() {
            snapshot.topology_id(&term.topology);
        }
        let mut ids = |terms: &[crate::pod::PodTerm]| -> Vec<TopologyId> {
            let keys = terms.iter().map(|term| term.topology.as_str());
            keys.map(|key| snapshot.topology_id(key)).collect()
        };
        let affinity_topologies = ids(&terms.affinity);
        let anti_topologies = ids(&terms.anti);
        let namespace_labels = snapshot.world.namespace(pod.namespace()).clone();
        let matches_itself = terms
            .affinity
            .iter()
            .all(|term| term.matches(pod.namespace(), &namespace_labels, pod.labels()));
        let mut this = Self {
            pod: Arc::clone(pod),
            namespace_labels,
            affinity_topologies,
            anti_topologies,
            affinity: Sums::default(),
            anti: Sums::default(),
            existing: Sums::default(),
            scores: Sums::default(),
            matches_itself,
            is_first: false,
        };
        if pod.terms.is_some() {
            snapshot
                .pods()
                .for_each(|(node, other)| this.count(snapshot, node, other, 1));
        } else {
            let others = snapshot.pods_with_terms();
            others.for_each(|(node, other)| this.count(snapshot, node, other, 1));
        }
        this.is_first = this.affinity.is_zero();
        this
    }

    pub(crate) fn follow(&mut self, snapshot: &Snapshot, entry: &Entry) {
        match entry {
            Entry::PodAdded(node, pod) => self.count(snapshot, *node, pod, 1),
            Entry::PodRemoved(node, pod) => self.count(snapshot, *node, pod, -1),
            Entry::Node(node) => {
                for sums in [
                    &mut self.affinity,
                    &mut self.anti,
                    &mut self.existing,
                    &mut self.scores,
                ] {
                    sums.refresh(snapshot, *node);
                }
            }
        }
    }

    /// After the last of what changed.
    pub(crate) fn followed(&mut self) {
        self.is_first = self.affinity.is_zero();
    }

    fn count(&mut self, snapshot: &Snapshot, node: NodeIndex, other: &PodInfo, sign: i64) {
        let pod = Arc::clone(&self.pod);
        if let Some(terms) = pod.terms.as_deref() {
            self.count_own(snapshot, node, terms, other, sign);
        }
        let Some(terms) = other.terms.as_deref() else {
            return;
        };
        let matches = |term: &crate::pod::PodTerm| {
            term.matches(pod.namespace(), &self.namespace_labels, pod.labels())
        };
        for term in terms.anti.iter().filter(|term| matches(term)) {
            self.existing.add(snapshot, &term.topology, node, sign);
        }
        let wanted = terms.affinity.iter().map(|term| (term, HARD_WEIGHT));
        let preferred = terms.preferred.iter().map(|term| (term, term.weight));
        let avoided = terms.avoided.iter().map(|term| (term, -term.weight));
        for (term, weight) in wanted.chain(preferred).chain(avoided) {
            if matches(term) {
                let weight = sign * weight;
                self.scores.add(snapshot, &term.topology, node, weight);
            }
        }
    }

    /// What the terms of this class make of a pod that is there.
    fn count_own(
        &mut self,
        snapshot: &Snapshot,
        node: NodeIndex,
        terms: &Terms,
        other: &PodInfo,
        sign: i64,
    ) {
        let namespace = other.namespace();
        let of_namespace = snapshot.world.namespace(namespace);
        let matches =
            |term: &crate::pod::PodTerm| term.matches(namespace, of_namespace, other.labels());
        if !terms.affinity.is_empty() && terms.affinity.iter().all(matches) {
            for term in &terms.affinity {
                self.affinity.add(snapshot, &term.topology, node, sign);
            }
        }
        for term in terms.anti.iter().filter(|term| matches(term)) {
            self.anti.add(snapshot, &term.topology, node, sign);
        }
        let preferred = terms.preferred.iter().map(|term| (term, term.weight));
        let avoided = terms.avoided.iter().map(|term| (term, -term.weight));
        for (term, weight) in preferred.chain(avoided) {
            if matches(term) {
                let weight = sign * weight;
                self.scores.add(snapshot, &term.topology, node, weight);
            }
        }
    }

    /// Why the node does not suit, and whether fewer pods there could change that.
    pub(crate) fn refuses(&self, snapshot: &Snapshot, node: NodeIndex) -> Option<(Reason, bool)> {
        if !self.near_enough(snapshot, node) {
            return Some((Reason::Affinity, false));
        }
        let too_near = |id: &TopologyId| self.anti.at(*id, node) > 0;
        if self.anti_topologies.iter().any(too_near) {
            return Some((Reason::AntiAffinity, true));
        }
        let kept_away = self.existing.any(node);
        kept_away.then_some((Reason::ExistingAntiAffinity, true))
    }

    fn near_enough(&self, snapshot: &Snapshot, node: NodeIndex) -> bool {
        let mut near = true;
        for id in &self.affinity_topologies {
            if snapshot.topology(*id).domains[node] == NOWHERE {
                return false;
            }
            near &= self.affinity.at(*id, node) > 0;
        }
        // The first of pods that want to be near to each other may go anywhere.
        near || (self.is_first && self.matches_itself)
    }

    pub(crate) fn has_scores(&self) -> bool {
        !self.scores.is_zero()
    }

    pub(crate) fn score(&self, nodes: &[NodeIndex], scores: &mut [i64]) {
        for (score, node) in scores.iter_mut().zip(nodes) {
            *score = self.scores.total(*node);
        }
        let least = scores.iter().copied().min().unwrap_or(0);
        let most = scores.iter().copied().max().unwrap_or(0);
        for score in scores {
            *score = if most > least {
                (SCORE_MAX as f64 * ((*score - least) as f64 / (most - least) as f64)) as i64
            } else {
                0
            };
        }
    }
}
