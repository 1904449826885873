//! Values of topology labels, as small numbers.

use std::collections::HashMap;

use super::state::NodeIndex;

/// Number of a label key whose values nodes are grouped by.
pub(crate) type TopologyId = usize;

/// The domain of nodes that do not have the label.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// One label key: the number of its value at each node. Numbers of values that no node has are used again.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) key: String,
    pub(crate) domains: Vec<u32>,
    numbers: HashMap<String, u32>,
    values: Vec<String>,
    nodes: Vec<u32>,
    free: Vec<u32>,
}

impl Topology {
    pub(super) fn new(key: &str, nodes: usize) -> Self {
        Self {
            key: key.to_owned(),
            domains: vec![NOWHERE; nodes],
            numbers: HashMap::new(),
            values: Vec::new(),
            nodes: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(super) fn grow(&mut self, nodes: usize) {
        let nodes = nodes.max(self.domains.len());
        self.domains.resize(nodes, NOWHERE);
    }

    /// Numbers are below this.
    pub(crate) fn bound(&self) -> usize {
        self.values.len()
    }

    pub(super) fn set(&mut self, node: NodeIndex, value: Option<&str>) {
        let old = self.domains[node];
        if old != NOWHERE && value == Some(self.values[old as usize].as_str()) {
            return;
        }
        self.domains[node] = match value {
            None => NOWHERE,
            Some(value) => self.number(value),
        };
        if old != NOWHERE {
            self.nodes[old as usize] -= 1;
            if self.nodes[old as usize] == 0 {
                self.numbers.remove(&self.values[old as usize]);
                self.free.push(old);
            }
        }
    }

    fn number(&mut self, value: &str) -> u32 {
        let number = match self.numbers.get(value) {
            Some(number) => *number,
            None => {
                let number = self.free.pop().unwrap_or_else(|| {
                    self.values.push(String::new());
                    self.nodes.push(0);
                    u32::try_from(self.values.len() - 1).expect("there are fewer nodes")
                });
                self.values[number as usize] = value.to_owned();
                self.numbers.insert(value.to_owned(), number);
                number
            }
        };
        self.nodes[number as usize] += 1;
        number
    }
}
