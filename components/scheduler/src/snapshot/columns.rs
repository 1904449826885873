//! Amounts of resources, by resource and node.

use std::collections::HashMap;

use crate::limits::EXTENDED_RESOURCES_MAX;
use crate::pod::{Amounts, PodInfo};

/// Columns that always exist.
pub(crate) const CPU: usize = 0;
pub(crate) const MEMORY: usize = 1;
pub(crate) const EPHEMERAL: usize = 2;
/// How many they are.
const FIXED: usize = 3;

/// One resource: what nodes offer, and what the pods there ask for.
#[derive(Debug, Default)]
pub(crate) struct Column {
    pub(crate) offered: Vec<i64>,
    pub(crate) asked: Vec<i64>,
}

#[derive(Debug)]
pub(crate) struct Columns {
    /// By resource: CPU (thousandths), memory and ephemeral storage (bytes), then extended ones.
    pub(crate) resources: Vec<Column>,
    names: HashMap<String, usize>,
    /// CPU and memory of pods with what is assumed of those that ask for none.
    pub(crate) scored_cpu: Vec<i64>,
    pub(crate) scored_memory: Vec<i64>,
    /// Pods that nodes take, and have.
    pub(crate) pods_offered: Vec<i64>,
    pub(crate) pods: Vec<i64>,
    len: usize,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            resources: (0..FIXED).map(|_| Column::default()).collect(),
            names: HashMap::new(),
            scored_cpu: Vec::new(),
            scored_memory: Vec::new(),
            pods_offered: Vec::new(),
            pods: Vec::new(),
            len: 0,
        }
    }
}

impl Columns {
    pub(super) fn grow(&mut self, len: usize) {
        self.len = self.len.max(len);
        for column in &mut self.resources {
            column.offered.resize(self.len, 0);
            column.asked.resize(self.len, 0);
        }
        for column in [
            &mut self.scored_cpu,
            &mut self.scored_memory,
            &mut self.pods_offered,
            &mut self.pods,
        ] {
            column.resize(self.len, 0);
        }
    }

    /// The column of an extended resource, if somebody offers it or has it.
    pub(crate) fn extended(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    fn extended_or_new(&mut self, name: &str) -> Option<usize> {
        if let Some(known) = self.names.get(name) {
            return Some(*known);
        }
        if self.names.len() >= EXTENDED_RESOURCES_MAX {
            return None;
        }
        let id = self.resources.len();
        self.resources.push(Column {
            offered: vec![0; self.len],
            asked: vec![0; self.len],
        });
        self.names.insert(name.to_owned(), id);
        Some(id)
    }

    /// Sets what a node offers and says whether it was anything else before.
    pub(super) fn offer(&mut self, node: usize, amounts: &Amounts, pods: i64) -> bool {
        let mut wanted = vec![0; self.resources.len()];
        wanted[CPU] = amounts.cpu;
        wanted[MEMORY] = amounts.memory;
        wanted[EPHEMERAL] = amounts.ephemeral;
        for (name, amount) in &amounts.extended {
            if let Some(id) = self.extended_or_new(name) {
                wanted.resize(self.resources.len(), 0);
                wanted[id] = *amount;
            }
        }
        let mut changed = self.pods_offered[node] != pods;
        self.pods_offered[node] = pods;
        for (column, amount) in self.resources.iter_mut().zip(wanted) {
            changed |= column.offered[node] != amount;
            column.offered[node] = amount;
        }
        changed
    }

    /// Adds what a pod asks for to its node, or takes it away if `sign` is −1.
    pub(super) fn ask(&mut self, node: usize, pod: &PodInfo, sign: i64) {
        let asks = &pod.asks;
        for (id, amount) in [
            (CPU, asks.cpu),
            (MEMORY, asks.memory),
            (EPHEMERAL, asks.ephemeral),
        ] {
            add(&mut self.resources[id].asked[node], amount, sign);
        }
        for (name, amount) in &asks.extended {
            if let Some(id) = self.extended_or_new(name) {
                add(&mut self.resources[id].asked[node], *amount, sign);
            }
        }
        add(&mut self.scored_cpu[node], pod.scored_cpu, sign);
        add(&mut self.scored_memory[node], pod.scored_memory, sign);
        self.pods[node] += sign;
    }
}

/// Wraps: what was added can be taken away again whatever its size.
fn add(to: &mut i64, amount: i64, sign: i64) {
    *to = to.wrapping_add(amount.wrapping_mul(sign));
}
