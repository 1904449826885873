//! A radix tree of prefixes: one walk along a key meets every prefix that matches it.

use slab::Slab;

const NONE: u32 = u32::MAX;
const ROOT: u32 = 0;

#[derive(Debug)]
struct Node {
    label: Box<[u8]>,
    /// The value stored under the prefix that ends here, or `NONE`.
    value: u32,
    /// By first byte of the child's label, ascending.
    children: Vec<(u8, u32)>,
}

/// Maps non-empty prefixes to small numbers.
#[derive(Debug)]
pub(crate) struct PrefixTree {
    nodes: Slab<Node>,
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

impl PrefixTree {
    pub(crate) fn new() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node {
            label: Box::default(),
            value: NONE,
            children: Vec::new(),
        });
        Self { nodes }
    }

    fn node(&self, ix: u32) -> &Node {
        &self.nodes[ix as usize]
    }

    fn node_mut(&mut self, ix: u32) -> &mut Node {
        &mut self.nodes[ix as usize]
    }

    fn add(&mut self, label: &[u8], value: u32) -> u32 {
        let node = Node {
            label: label.into(),
            value,
            children: Vec::new(),
        };
        u32::try_from(self.nodes.insert(node)).expect("fewer prefixes than bytes of memory / 4")
    }

    fn child(&self, ix: u32, byte: u8) -> Option<(usize, u32)> {
        let children = &self.node(ix).children;
        let at = children.binary_search_by_key(&byte, |c| c.0).ok()?;
        Some((at, children[at].1))
    }

    fn attach(&mut self, parent: u32, child: u32) {
        let byte = self.node(child).label[0];
        let children = &mut self.node_mut(parent).children;
        match children.binary_search_by_key(&byte, |c| c.0) {
            Ok(at) => children[at].1 = child,
            Err(at) => children.insert(at, (byte, child)),
        }
    }

    /// Stores a value under a prefix that has none.
    pub(crate) fn insert(&mut self, prefix: &[u8], value: u32) {
        debug_assert!(!prefix.is_empty() && value != NONE);
        let (mut at, mut rest) = (ROOT, prefix);
        while !rest.is_empty() {
            let Some((_, child)) = self.child(at, rest[0]) else {
                let leaf = self.add(rest, value);
                self.attach(at, leaf);
                return;
            };
            let shared = common(&self.node(child).label, rest);
            if shared < self.node(child).label.len() {
                let middle = self.add(&rest[..shared], NONE);
                let tail = self.node(child).label[shared..].into();
                self.node_mut(child).label = tail;
                self.attach(middle, child);
                self.attach(at, middle);
                at = middle;
            } else {
                at = child;
            }
            rest = &rest[shared..];
        }
        self.node_mut(at).value = value;
    }

    /// Removes the value of a prefix.
    pub(crate) fn remove(&mut self, prefix: &[u8]) {
        let (mut path, mut rest) = (vec![ROOT], prefix);
        while !rest.is_empty() {
            let at = path[path.len() - 1];
            let Some((_, child)) = self.child(at, rest[0]) else {
                return;
            };
            let Some(tail) = rest.strip_prefix(&*self.node(child).label) else {
                return;
            };
            path.push(child);
            rest = tail;
        }
        let at = path[path.len() - 1];
        self.node_mut(at).value = NONE;
        self.tidy(&path);
    }

    /// Drops or merges what the last node of a path, and then its parent, no longer need.
    fn tidy(&mut self, path: &[u32]) {
        let [.., parent, at] = *path else { return };
        if self.node(at).value != NONE {
            return;
        }
        match self.node(at).children[..] {
            [] => {
                let byte = self.node(at).label[0];
                if let Some((position, _)) = self.child(parent, byte) {
                    self.node_mut(parent).children.remove(position);
                }
                self.nodes.remove(at as usize);
                self.tidy(&path[..path.len() - 1]);
            }
            [(_, only)] => {
                let label = [&*self.node(at).label, &*self.node(only).label].concat();
                self.node_mut(only).label = label.into();
                self.attach(parent, only);
                self.nodes.remove(at as usize);
            }
            _ => {}
        }
    }

    /// Calls `f` with the value of every prefix of `key`.
    pub(crate) fn matches(&self, key: &[u8], mut f: impl FnMut(u32)) {
        let (mut at, mut rest) = (ROOT, key);
        while let Some(&byte) = rest.first() {
            let Some((_, child)) = self.child(at, byte) else {
                return;
            };
            let node = self.node(child);
            let Some(tail) = rest.strip_prefix(&*node.label) else {
                return;
            };
            if node.value != NONE {
                f(node.value);
            }
            at = child;
            rest = tail;
        }
    }

    /// Whether nothing is stored.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn like_a_list_of_prefixes(
            ops in prop::collection::vec((prop::collection::vec(0..3_u8, 1..6), any::<bool>()), 1..80),
            keys in prop::collection::vec(prop::collection::vec(0..3_u8, 0..8), 1..20),
        ) {
            let mut tree = PrefixTree::new();
            let mut model = BTreeMap::new();
            for (n, (prefix, add)) in (0_u32..).zip(ops) {
                if add && !model.contains_key(&prefix) {
                    tree.insert(&prefix, n);
                    model.insert(prefix, n);
                } else if !add {
                    tree.remove(&prefix);
                    model.remove(&prefix);
                }
                for key in &keys {
                    let mut found = Vec::new();
                    tree.matches(key, |v| found.push(v));
                    found.sort_unstable();
                    let mut expected: Vec<_> =
                        model.iter().filter(|(p, _)| key.starts_with(p)).map(|(_, &v)| v).collect();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
            }
            for prefix in model.keys() {
                tree.remove(prefix);
            }
            prop_assert!(tree.is_empty(), "nothing is left behind");
        }
    }
}
