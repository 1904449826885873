//! Sums over the nodes of each value of a topology.

use crate::snapshot::{NOWHERE, NodeIndex, Snapshot, TopologyId};

/// Nodes and what each adds to its domain; a node can move to another domain.
#[derive(Debug)]
pub(crate) struct Domains {
    pub(crate) topology: TopologyId,
    domains: Vec<u32>,
    own: Vec<i64>,
    sums: Vec<i64>,
}

impl Domains {
    pub(crate) fn new(snapshot: &Snapshot, topology: TopologyId) -> Self {
        let column = snapshot.topology(topology);
        Self {
            topology,
            domains: column.domains.clone(),
            own: vec![0; column.domains.len()],
            sums: vec![0; column.bound()],
        }
    }

    fn sum(&mut self, domain: u32) -> Option<&mut i64> {
        if domain == NOWHERE {
            return None;
        }
        let at = domain as usize;
        if at >= self.sums.len() {
            self.sums.resize(at + 1, 0);
        }
        Some(&mut self.sums[at])
    }

    fn grow(&mut self, node: NodeIndex) {
        if node >= self.own.len() {
            self.own.resize(node + 1, 0);
            self.domains.resize(node + 1, NOWHERE);
        }
    }

    pub(crate) fn add(&mut self, node: NodeIndex, amount: i64) {
        self.grow(node);
        self.own[node] += amount;
        if let Some(sum) = self.sum(self.domains[node]) {
            *sum += amount;
        }
    }

    /// The node may have another label.
    pub(crate) fn refresh(&mut self, snapshot: &Snapshot, node: NodeIndex) {
        self.grow(node);
        let own = self.own[node];
        if let Some(sum) = self.sum(self.domains[node]) {
            *sum -= own;
        }
        self.domains[node] = snapshot.topology(self.topology).domains[node];
        if let Some(sum) = self.sum(self.domains[node]) {
            *sum += own;
        }
    }

    /// The sum of the node's domain; `None` if it is in none.
    pub(crate) fn at(&self, node: NodeIndex) -> Option<i64> {
        let domain = self.domains.get(node).copied().unwrap_or(NOWHERE);
        (domain != NOWHERE).then(|| self.sums.get(domain as usize).copied().unwrap_or(0))
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.sums.iter().all(|sum| *sum == 0)
    }
}
