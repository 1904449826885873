//! Sums by topology, for topologies that become known one after another.

use super::domains::Domains;
use crate::snapshot::{NodeIndex, Snapshot};

/// One sum for each domain of each topology.
#[derive(Debug, Default)]
pub(crate) struct Sums(Vec<Domains>);

impl Sums {
    /// Adds to the domain of the node under a topology key.
    pub(crate) fn add(&mut self, snapshot: &Snapshot, key: &str, node: NodeIndex, amount: i64) {
        let Some(id) = snapshot.known_topology(key) else {
            return;
        };
        let at = match self.0.iter().position(|one| one.topology == id) {
            Some(at) => at,
            None => {
                self.0.push(Domains::new(snapshot, id));
                self.0.len() - 1
            }
        };
        self.0[at].add(node, amount);
    }

    pub(crate) fn refresh(&mut self, snapshot: &Snapshot, node: NodeIndex) {
        for domains in &mut self.0 {
            domains.refresh(snapshot, node);
        }
    }

    /// The sum of the node's domain under a topology key.
    pub(crate) fn at(&self, id: usize, node: NodeIndex) -> i64 {
        let found = self.0.iter().find(|one| one.topology == id);
        found.and_then(|domains| domains.at(node)).unwrap_or(0)
    }

    /// Whether any domain of this node has more than nothing.
    pub(crate) fn any(&self, node: NodeIndex) -> bool {
        self.0.iter().any(|d| d.at(node).is_some_and(|sum| sum > 0))
    }

    /// All sums of the node's domains together.
    pub(crate) fn total(&self, node: NodeIndex) -> i64 {
        self.0.iter().filter_map(|domains| domains.at(node)).sum()
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.iter().all(Domains::is_zero)
    }
}
