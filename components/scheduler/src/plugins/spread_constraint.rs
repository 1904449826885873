//! One constraint on how pods are spread over the values of a topology.

use k8s_openapi::api::core::v1::TopologySpreadConstraint;

use super::node_affinity::NodeAffinity;
use super::taint_toleration::TaintToleration;
use crate::pod::PodInfo;
use crate::selector::{Requirement, Selector, label};
use crate::snapshot::{NOWHERE, NodeIndex, Snapshot, TopologyId};

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// A constraint with the pods that count for it, by node and by domain.
#[derive(Debug)]
pub(crate) struct Constraint {
    pub(crate) max_skew: i64,
    pub(crate) min_domains: usize,
    pub(crate) topology: TopologyId,
    pub(crate) by_node: bool,
    selector: Selector,
    affinity_honored: bool,
    taints_honored: bool,
    /// Whether the pod itself counts.
    pub(crate) itself: i64,
    /// Pods that count at each node.
    pub(crate) pods: Vec<i64>,
    /// Where each node counts; [`NOWHERE`] if it does not.
    domains: Vec<u32>,
    sums: Vec<i64>,
    nodes: Vec<u32>,
    least: i64,
    least_is_old: bool,
    domains_counted: usize,
}

impl Constraint {
    pub(crate) fn new(
        snapshot: &mut Snapshot,
        pod: &PodInfo,
        written: &TopologySpreadConstraint,
    ) -> Self {
        let mut selector = Selector::new(written.label_selector.as_ref());
        // The apiserver has done so for pods that were created through it since 1.34; twice is as good as once.
        let keys = written.match_label_keys.iter().flatten();
        let own = keys.filter_map(|key| {
            label(pod.labels(), key).map(|value| Requirement::equals(key, value))
        });
        let own: Vec<_> = own.collect();
        if !own.is_empty() {
            selector = match selector {
                Selector::Nothing => Selector::All(own),
                some => some.and(Selector::All(own)),
            };
        }
        let honors = |policy: &Option<String>, default: &str| {
            policy.as_deref().unwrap_or(default) == "Honor"
        };
        let minimum = written.min_domains.unwrap_or(1);
        Self {
            min_domains: usize::try_from(minimum).unwrap_or(1),
            affinity_honored: honors(&written.node_affinity_policy, "Honor"),
            taints_honored: honors(&written.node_taints_policy, "Ignore"),
            ..Self::plain(
                snapshot,
                pod,
                &written.topology_key,
                written.max_skew,
                selector,
            )
        }
    }

    /// Upstream's own: over nodes and zones, as well as can be had.
    pub(crate) fn defaults(
        snapshot: &mut Snapshot,
        pod: &PodInfo,
        selector: &Selector,
    ) -> Vec<Self> {
        let all = [(HOSTNAME, 3), (ZONE, 5)];
        let make = |(key, skew)| Self::plain(snapshot, pod, key, skew, selector.clone());
        all.map(make).into()
    }

    fn plain(
        snapshot: &mut Snapshot,
        pod: &PodInfo,
        key: &str,
        max_skew: i32,
        selector: Selector,
    ) -> Self {
        Self {
            max_skew: i64::from(max_skew),
            min_domains: 1,
            topology: snapshot.topology_id(key),
            by_node: key == HOSTNAME,
            affinity_honored: true,
            taints_honored: false,
            itself: i64::from(selector.matches(pod.labels())),
            selector,
            pods: Vec::new(),
            domains: Vec::new(),
            sums: Vec::new(),
            nodes: Vec::new(),
            least: 0,
            least_is_old: true,
            domains_counted: 0,
        }
    }

    /// A pod of the same namespace; one that is going does not count.
    pub(crate) fn count(&mut self, node: NodeIndex, pod: &PodInfo, sign: i64) {
        if pod.goes() || !self.selector.matches(pod.labels()) {
            return;
        }
        self.grow(node);
        self.pods[node] += sign;
        let domain = self.domains[node];
        if domain != NOWHERE {
            self.sums[domain as usize] += sign;
            self.least_is_old = true;
        }
    }

    fn grow(&mut self, node: NodeIndex) {
        if node >= self.pods.len() {
            self.pods.resize(node + 1, 0);
            self.domains.resize(node + 1, NOWHERE);
        }
    }

    pub(crate) fn honors(
        &self,
        snapshot: &Snapshot,
        node: NodeIndex,
        affinity: &NodeAffinity,
        taints: &TaintToleration,
    ) -> bool {
        (!self.affinity_honored || affinity.fits(snapshot, node))
            && (!self.taints_honored || taints.fits(snapshot, node))
    }

    /// The node counts from now on, or not, and in the domain it is in now.
    pub(crate) fn refresh(&mut self, snapshot: &Snapshot, node: NodeIndex, counts: bool) {
        self.grow(node);
        let old = self.domains[node];
        let domain = snapshot.topology(self.topology).domains[node];
        let new = if counts { domain } else { NOWHERE };
        if old == new {
            return;
        }
        self.least_is_old = true;
        if old != NOWHERE {
            let at = old as usize;
            self.sums[at] -= self.pods[node];
            self.nodes[at] -= 1;
            self.domains_counted -= usize::from(self.nodes[at] == 0);
        }
        self.domains[node] = new;
        if new != NOWHERE {
            let at = new as usize;
            if at >= self.sums.len() {
                self.sums.resize(at + 1, 0);
                self.nodes.resize(at + 1, 0);
            }
            self.domains_counted += usize::from(self.nodes[at] == 0);
            self.sums[at] += self.pods[node];
            self.nodes[at] += 1;
        }
    }

    /// Finds the least again, if it may be another one.
    pub(crate) fn settle(&mut self) {
        if !std::mem::take(&mut self.least_is_old) {
            return;
        }
        let counted = self.sums.iter().zip(&self.nodes);
        let counted = counted.filter(|(_, nodes)| **nodes > 0);
        let least = counted.map(|(sum, _)| *sum).min();
        self.least = least.unwrap_or(i64::from(i32::MAX));
    }

    /// Pods in the domain with the fewest; none if there are too few domains.
    pub(crate) fn least(&self) -> i64 {
        if self.domains_counted < self.min_domains {
            0
        } else {
            self.least
        }
    }

    pub(crate) fn sum(&self, domain: u32) -> i64 {
        self.sums.get(domain as usize).copied().unwrap_or(0)
    }

    pub(crate) fn pods_at(&self, node: NodeIndex) -> i64 {
        self.pods.get(node).copied().unwrap_or(0)
    }
}
