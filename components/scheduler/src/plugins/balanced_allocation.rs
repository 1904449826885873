//! Nodes on which CPU and memory are used alike.

use crate::pod::PodInfo;
use crate::snapshot::{CPU, MEMORY, NodeIndex, Snapshot};

/// 100 if both are used to the same part, less the further they are apart. Pods that ask for neither are not scored:
/// they would all go to one node.
pub(crate) fn balanced(pod: &PodInfo, snapshot: &Snapshot, node: NodeIndex) -> i64 {
    if pod.asks.cpu == 0 && pod.asks.memory == 0 {
        return 0;
    }
    let share = |id: usize, asks: i64| {
        let column = &snapshot.columns.resources[id];
        let offered = column.offered[node];
        let used = column.asked[node].saturating_add(asks);
        (offered != 0).then(|| (used as f64 / offered as f64).min(1.0))
    };
    let apart = match (share(CPU, pod.asks.cpu), share(MEMORY, pod.asks.memory)) {
        (Some(cpu), Some(memory)) => ((cpu - memory) / 2.0).abs(),
        _ => 0.0,
    };
    ((1.0 - apart) * 100.0) as i64
}
