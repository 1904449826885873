//! In which order nodes are looked at: one of each zone in turn, so that a part of them is of all zones.

use std::collections::HashMap;

use super::state::{NodeIndex, Snapshot};

/// Region and zone of a node, as upstream joins them.
fn zone(snapshot: &Snapshot, node: NodeIndex) -> (String, String) {
    let label = |new: &str, old: &str| {
        let labels = snapshot.labels(node);
        let found = labels.and_then(|l| l.get(new).or_else(|| l.get(old)));
        found.cloned().unwrap_or_default()
    };
    (
        label(
            "topology.kubernetes.io/region",
            "failure-domain.beta.kubernetes.io/region",
        ),
        label(
            "topology.kubernetes.io/zone",
            "failure-domain.beta.kubernetes.io/zone",
        ),
    )
}

/// Nodes that exist; `came` is the order in which they came.
pub(super) fn interleaved(snapshot: &Snapshot, came: &[NodeIndex]) -> Vec<NodeIndex> {
    let mut zones: Vec<Vec<NodeIndex>> = Vec::new();
    let mut known = HashMap::new();
    for node in came.iter().copied() {
        let next = zones.len();
        let at = *known.entry(zone(snapshot, node)).or_insert(next);
        if at == next {
            zones.push(Vec::new());
        }
        zones[at].push(node);
    }
    let longest = zones.iter().map(Vec::len).max().unwrap_or(0);
    let rounds = (0..longest).flat_map(|n| zones.iter().filter_map(move |zone| zone.get(n)));
    rounds.copied().collect()
}
