//! Fields of a type in the order of their numbers, with embedded messages as a tree.

use crate::types::{TypeDef, TypeId};
use std::sync::OnceLock;

/// One number of a message.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) number: u32,
    pub(super) holds: Holds,
}

#[derive(Debug)]
pub(super) enum Holds {
    /// Index of the field within its type.
    Field(usize),
    /// A message that JSON folds into its parent.
    Embedded(Vec<Node>),
}

/// The nodes of a type, sorted by number. Empty for scalars.
pub(super) fn of(id: TypeId) -> &'static [Node] {
    static PLANS: OnceLock<Vec<Vec<Node>>> = OnceLock::new();
    let plans = PLANS.get_or_init(|| crate::schema().types().map(|(_, def)| plan(def)).collect());
    &plans[usize::from(id.0)]
}

fn plan(def: &TypeDef) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (field, index) in def
        .fields()
        .iter()
        .zip(0..)
        .filter(|(field, _)| field.number != 0)
    {
        let mut level = &mut nodes;
        for number in field.embedded {
            level = embedded(level, *number);
        }
        level.push(Node {
            number: field.number,
            holds: Holds::Field(index),
        });
    }
    sort(&mut nodes);
    nodes
}

/// The nodes of an embedded message, made when it is met first.
fn embedded(level: &mut Vec<Node>, number: u32) -> &mut Vec<Node> {
    let found = level.iter().position(|node| node.number == number);
    let at = found.unwrap_or_else(|| {
        level.push(Node {
            number,
            holds: Holds::Embedded(Vec::new()),
        });
        level.len() - 1
    });
    match &mut level[at].holds {
        Holds::Embedded(nodes) => nodes,
        Holds::Field(_) => unreachable!("tables are tested to use a number once"),
    }
}

fn sort(nodes: &mut [Node]) {
    nodes.sort_unstable_by_key(|node| node.number);
    for node in nodes {
        if let Holds::Embedded(inner) = &mut node.holds {
            sort(inner);
        }
    }
}

/// The node of a number.
pub(super) fn find(nodes: &[Node], number: u32) -> Option<&Holds> {
    let at = nodes
        .binary_search_by_key(&number, |node| node.number)
        .ok()?;
    Some(&nodes[at].holds)
}
