//! Why a pod fits nowhere, as upstream tells it in events and conditions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::class::Class;
use crate::plugins::{Plugins, Reason};
use crate::snapshot::{NodeIndex, Snapshot};

/// What evicting others would do for the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The pod's policy is never to preempt.
    Never,
    /// Nodes where fewer pods would help but none has a lower priority, out of all nodes.
    Useless { no_victims: usize, nodes: usize },
    /// Some node has pods of lower priority; preemption is for later, and nothing is said about it.
    Unsaid,
}

/// A pod fits nowhere.
#[derive(Clone, Debug)]
pub struct Failure {
    pub message: String,
    pub(crate) plugins: Plugins,
}

impl Failure {
    /// There is no node at all.
    pub(crate) fn no_nodes() -> Self {
        Self {
            message: "no nodes available to schedule pods".to_owned(),
            plugins: Plugins::default(),
        }
    }

    /// The pod's terms name nodes that no two of them share.
    pub(crate) fn conflict(class: &Class, nodes: usize) -> Self {
        let text = "pod affinity terms conflict";
        let tail = tail(class, 0, false, nodes);
        Self {
            message: format!("0/{nodes} nodes are available: {text}.{}", tail.text()),
            plugins: crate::class::plugins([&Reason::NodeAffinity]),
        }
    }
}

impl Tail {
    fn text(&self) -> String {
        match self {
            Self::Never => " preemption: not eligible due to preemptionPolicy=Never.".to_owned(),
            Self::Useless { no_victims, nodes } => {
                let mut counted = BTreeMap::new();
                let helpless = nodes - no_victims;
                let none = "No preemption victims found for incoming pod";
                counted.insert(none.to_owned(), *no_victims);
                let useless = "Preemption is not helpful for scheduling";
                counted.insert(useless.to_owned(), helpless);
                format!(" preemption: {}", available(*nodes, &counted))
            }
            Self::Unsaid => String::new(),
        }
    }
}

fn tail(class: &Class, no_victims: usize, unsaid: bool, nodes: usize) -> Tail {
    let policy = class.pod.spec().preemption_policy.as_deref();
    match policy {
        Some("Never") => Tail::Never,
        _ if unsaid => Tail::Unsaid,
        _ => Tail::Useless { no_victims, nodes },
    }
}

/// Reasons with how many nodes have them, ordered as texts.
fn available(nodes: usize, reasons: &BTreeMap<String, usize>) -> String {
    let some = reasons.iter().filter(|(_, count)| **count > 0);
    let mut texts: Vec<_> = some.map(|(reason, n)| format!("{n} {reason}")).collect();
    texts.sort_unstable();
    let mut text = format!("0/{nodes} nodes are available:");
    if !texts.is_empty() {
        // Writing to a string does not fail.
        let _ = write!(text, " {}.", texts.join(", "));
    }
    text
}

/// Why none of the nodes that were looked at suits.
pub(crate) fn diagnose(class: &Class, snapshot: &Snapshot, looked_at: &[NodeIndex]) -> Failure {
    let all = snapshot.len();
    let mut counted: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut no_victims = 0;
    let mut unsaid = false;
    for node in looked_at.iter().copied() {
        let (reasons, resolvable) = reasons(class, snapshot, node);
        for reason in reasons {
            *counted.entry(reason).or_default() += 1;
        }
        if resolvable {
            let least = snapshot.least_priority(node);
            match least.is_some_and(|least| least < class.pod.priority()) {
                true => unsaid = true,
                false => no_victims += 1,
            }
        }
    }
    if looked_at.len() < all {
        counted.insert(Reason::Elsewhere, all - looked_at.len());
    }
    let plugins = crate::class::plugins(counted.keys());
    let counted = counted.iter().map(|(reason, n)| (reason.to_string(), *n));
    let text = available(all, &counted.collect());
    let tail = tail(class, no_victims, unsaid, all);
    Failure {
        message: format!("{text}{}", tail.text()),
        plugins,
    }
}

fn reasons(class: &Class, snapshot: &Snapshot, node: NodeIndex) -> (Vec<Reason>, bool) {
    let verdict = class.known(node).verdict;
    let (reasons, resolvable) = class.plugins.reasons(verdict, snapshot, node);
    if !reasons.is_empty() {
        return (reasons, resolvable);
    }
    let spread = class.spread.refuses(snapshot, node);
    let refused = spread.or_else(|| class.near.refuses(snapshot, node));
    refused.map_or((Vec::new(), true), |(reason, r)| (vec![reason], r))
}
