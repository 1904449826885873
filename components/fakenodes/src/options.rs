//! What can be set from outside.

use std::collections::BTreeMap;
use std::time::Duration;

/// How many nodes there are, what they have, and how fast their pods live.
#[derive(Clone, Debug)]
pub struct Options {
    pub nodes: usize,
    /// Names are this and a number.
    pub prefix: String,
    /// Zones that the nodes are spread over, `zone-0` and on; 0 for none.
    pub zones: usize,
    /// As quantities.
    pub cpu: String,
    pub memory: String,
    pub pods: u32,
    /// Resources beside those, by name, as quantities.
    pub resources: BTreeMap<String, String>,
    /// Labels of all nodes beside those that kubelets give.
    pub labels: BTreeMap<String, String>,
    /// Whether they take the taint of nodes that are not ready from themselves: elsewhere the node lifecycle controller
    /// does, once it has found them ready.
    pub untaint: bool,
    /// From being bound to running.
    pub start_after: Duration,
    /// From running to ready.
    pub ready_after: Duration,
    /// From running to the end, for pods whose containers are not always started again.
    pub ends_after: Duration,
    /// Share of the pods that end by themselves whose containers fail, from 0 to 1.
    pub failure_rate: f64,
    /// From the request to delete to the end, if the grace period is not shorter.
    pub stops_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 1,
            prefix: "fake-".to_owned(),
            zones: 0,
            cpu: "32".to_owned(),
            memory: "256Gi".to_owned(),
            pods: 110,
            resources: BTreeMap::new(),
            labels: BTreeMap::new(),
            untaint: false,
            start_after: Duration::from_millis(200),
            ready_after: Duration::ZERO,
            ends_after: Duration::from_secs(1),
            failure_rate: 0.0,
            stops_after: Duration::from_millis(200),
        }
    }
}
