//! Resources that are left.

use super::Reason;
use crate::limits::SCORE_MAX;
use crate::pod::PodInfo;
use crate::snapshot::{CPU, EPHEMERAL, MEMORY, NodeIndex, Snapshot};

#[derive(Debug)]
pub(crate) struct ResourcesFit {
    cpu: i64,
    memory: i64,
    ephemeral: i64,
    extended: Vec<(String, i64)>,
    none: bool,
    scored_cpu: i64,
    scored_memory: i64,
}

impl ResourcesFit {
    pub(crate) fn new(pod: &PodInfo) -> Self {
        Self {
            cpu: pod.asks.cpu,
            memory: pod.asks.memory,
            ephemeral: pod.asks.ephemeral,
            extended: pod.asks.extended.clone(),
            none: pod.asks.is_zero(),
            scored_cpu: pod.scored_cpu,
            scored_memory: pod.scored_memory,
        }
    }

    pub(crate) fn fits(&self, snapshot: &Snapshot, node: NodeIndex) -> bool {
        let columns = &snapshot.columns;
        if columns.pods[node] + 1 > columns.pods_offered[node] {
            return false;
        }
        if self.none {
            return true;
        }
        let enough = |id: usize, asked: i64| {
            let column = &columns.resources[id];
            asked == 0 || asked <= column.offered[node].saturating_sub(column.asked[node])
        };
        let extended = |(name, asked): &(String, i64)| {
            let known = columns.extended(name);
            known.is_some_and(|id| enough(id, *asked)) || *asked == 0
        };
        enough(CPU, self.cpu)
            && enough(MEMORY, self.memory)
            && enough(EPHEMERAL, self.ephemeral)
            && self.extended.iter().all(extended)
    }

    /// All that is missing, and whether the node could ever have enough.
    pub(crate) fn missing(&self, snapshot: &Snapshot, node: NodeIndex) -> (Vec<Reason>, bool) {
        let columns = &snapshot.columns;
        let mut reasons = Vec::new();
        let mut possible = true;
        if columns.pods[node] + 1 > columns.pods_offered[node] {
            reasons.push(Reason::TooManyPods);
            possible = columns.pods_offered[node] > 0;
        }
        let mut check = |name: &str, id: Option<usize>, asked: i64| {
            let column = id.map(|id| &columns.resources[id]);
            let offered = column.map_or(0, |column| column.offered[node]);
            let taken = column.map_or(0, |column| column.asked[node]);
            if asked > 0 && asked > offered.saturating_sub(taken) {
                reasons.push(Reason::Insufficient(name.to_owned()));
                possible &= asked <= offered;
            }
        };
        check("cpu", Some(CPU), self.cpu);
        check("memory", Some(MEMORY), self.memory);
        check("ephemeral-storage", Some(EPHEMERAL), self.ephemeral);
        for (name, asked) in &self.extended {
            check(name, columns.extended(name), *asked);
        }
        (reasons, possible)
    }

    /// The more is left of CPU and memory, the better.
    pub(crate) fn least_allocated(&self, snapshot: &Snapshot, node: NodeIndex) -> i64 {
        let columns = &snapshot.columns;
        let mut sum = 0;
        let mut count = 0;
        for (id, taken, asked) in [
            (CPU, columns.scored_cpu[node], self.scored_cpu),
            (MEMORY, columns.scored_memory[node], self.scored_memory),
        ] {
            let offered = columns.resources[id].offered[node];
            if offered == 0 {
                continue;
            }
            let taken = taken.saturating_add(asked);
            if taken <= offered {
                // In 128 bits: memory times a hundred may be more than 64 have.
                let share =
                    i128::from(offered - taken) * i128::from(SCORE_MAX) / i128::from(offered);
                sum += i64::try_from(share).unwrap_or(SCORE_MAX);
            }
            count += 1;
        }
        if count == 0 { 0 } else { sum / count }
    }
}
