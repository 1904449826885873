//! An interval tree (a treap ordered by start, each node knowing the furthest end below it).

use std::cmp::Ordering;

use slab::Slab;

use crate::range::Span;

const NIL: u32 = u32::MAX;

#[derive(Debug)]
struct Node {
    span: Span,
    value: u32,
    priority: u32,
    left: u32,
    right: u32,
    /// The node of this subtree whose span ends last.
    furthest: u32,
}

/// Maps distinct spans to small numbers and finds all that contain a key.
#[derive(Debug)]
pub(crate) struct SpanTree {
    nodes: Slab<Node>,
    root: u32,
    /// State of a xorshift generator: priorities, which must not be guessable by clients.
    random: u64,
}

fn by_end(a: Option<&[u8]>, b: Option<&[u8]>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => a.cmp(b),
    }
}

fn order(a: &Span, b: &Span) -> Ordering {
    a.start
        .cmp(&b.start)
        .then_with(|| by_end(a.end.as_deref(), b.end.as_deref()))
}

impl SpanTree {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            nodes: Slab::new(),
            root: NIL,
            random: seed | 1,
        }
    }

    fn node(&self, ix: u32) -> &Node {
        &self.nodes[ix as usize]
    }

    fn node_mut(&mut self, ix: u32) -> &mut Node {
        &mut self.nodes[ix as usize]
    }

    fn end(&self, ix: u32) -> Option<&[u8]> {
        self.node(ix).span.end.as_deref()
    }

    fn next_priority(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as u32
    }

    /// Recomputes what a node knows of its subtree.
    fn refresh(&mut self, ix: u32) {
        let mut furthest = ix;
        for child in [self.node(ix).left, self.node(ix).right] {
            if child != NIL {
                let candidate = self.node(child).furthest;
                if by_end(self.end(candidate), self.end(furthest)) == Ordering::Greater {
                    furthest = candidate;
                }
            }
        }
        self.node_mut(ix).furthest = furthest;
    }

    /// Stores a value under a span that has none.
    pub(crate) fn insert(&mut self, span: Span, value: u32) {
        let priority = self.next_priority();
        let node = Node {
            span,
            value,
            priority,
            left: NIL,
            right: NIL,
            furthest: NIL,
        };
        let ix = u32::try_from(self.nodes.insert(node)).expect("fewer spans than 4 G");
        self.node_mut(ix).furthest = ix;
        self.root = self.insert_at(self.root, ix);
    }

    fn insert_at(&mut self, at: u32, new: u32) -> u32 {
        if at == NIL {
            return new;
        }
        if order(&self.node(new).span, &self.node(at).span) == Ordering::Less {
            let left = self.insert_at(self.node(at).left, new);
            self.node_mut(at).left = left;
            if self.node(left).priority > self.node(at).priority {
                return self.rotate_right(at);
            }
        } else {
            let right = self.insert_at(self.node(at).right, new);
            self.node_mut(at).right = right;
            if self.node(right).priority > self.node(at).priority {
                return self.rotate_left(at);
            }
        }
        self.refresh(at);
        at
    }

    fn rotate_right(&mut self, at: u32) -> u32 {
        let top = self.node(at).left;
        self.node_mut(at).left = self.node(top).right;
        self.node_mut(top).right = at;
        self.refresh(at);
        self.refresh(top);
        top
    }

    fn rotate_left(&mut self, at: u32) -> u32 {
        let top = self.node(at).right;
        self.node_mut(at).right = self.node(top).left;
        self.node_mut(top).left = at;
        self.refresh(at);
        self.refresh(top);
        top
    }

    /// Removes a span.
    pub(crate) fn remove(&mut self, span: &Span) {
        self.root = self.remove_at(self.root, span);
    }

    fn remove_at(&mut self, at: u32, span: &Span) -> u32 {
        if at == NIL {
            return NIL;
        }
        let (left, right) = (self.node(at).left, self.node(at).right);
        match order(span, &self.node(at).span) {
            Ordering::Less => {
                let left = self.remove_at(left, span);
                self.node_mut(at).left = left;
            }
            Ordering::Greater => {
                let right = self.remove_at(right, span);
                self.node_mut(at).right = right;
            }
            Ordering::Equal => {
                self.nodes.remove(at as usize);
                return self.merge(left, right);
            }
        }
        self.refresh(at);
        at
    }

    /// One tree of two, all of the first standing before all of the second.
    fn merge(&mut self, a: u32, b: u32) -> u32 {
        if a == NIL || b == NIL {
            return if a == NIL { b } else { a };
        }
        if self.node(a).priority > self.node(b).priority {
            let right = self.merge(self.node(a).right, b);
            self.node_mut(a).right = right;
            self.refresh(a);
            a
        } else {
            let left = self.merge(a, self.node(b).left);
            self.node_mut(b).left = left;
            self.refresh(b);
            b
        }
    }

    /// Calls `f` with the value of every span that contains `key`.
    pub(crate) fn matches(&self, key: &[u8], f: &mut impl FnMut(u32)) {
        self.matches_at(self.root, key, f);
    }

    fn matches_at(&self, at: u32, key: &[u8], f: &mut impl FnMut(u32)) {
        if at == NIL {
            return;
        }
        let node = self.node(at);
        if self.end(node.furthest).is_some_and(|end| end <= key) {
            return;
        }
        self.matches_at(node.left, key, f);
        if *node.span.start <= *key {
            if node.span.contains(key) {
                f(node.value);
            }
            self.matches_at(node.right, key, f);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn like_a_list_of_spans(
            ops in prop::collection::vec((0..20_u8, prop::option::of(0..20_u8), any::<bool>()), 1..120),
        ) {
            let mut tree = SpanTree::new(42);
            let mut model: Vec<(Span, u32)> = Vec::new();
            for (n, (start, length, add)) in (0_u32..).zip(ops) {
                let end = length.map(|l| Box::from([start + l + 1]));
                let span = Span { start: Box::from([start]), end };
                let known = model.iter().position(|(s, _)| *s == span);
                match (add, known) {
                    (true, None) => {
                        tree.insert(span.clone(), n);
                        model.push((span, n));
                    }
                    (false, _) => {
                        tree.remove(&span);
                        model.retain(|(s, _)| *s != span);
                    }
                    _ => {}
                }
                for key in 0..45_u8 {
                    let mut found = Vec::new();
                    tree.matches(&[key], &mut |v| found.push(v));
                    found.sort_unstable();
                    let mut expected: Vec<_> =
                        model.iter().filter(|(s, _)| s.contains(&[key])).map(|(_, v)| *v).collect();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
            }
            prop_assert_eq!(tree.nodes.len(), model.len());
        }
    }
}
