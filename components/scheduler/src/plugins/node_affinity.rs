//! Labels and names of nodes that pods ask for or prefer.

use k8s_openapi::api::core::v1::PodSpec;

use crate::selector::{NodeTerm, Selector};
use crate::snapshot::{NodeIndex, Snapshot};

#[derive(Debug)]
pub(crate) struct NodeAffinity {
    selector: Option<Selector>,
    /// One of them, if there is a list.
    required: Option<Vec<NodeTerm>>,
    preferred: Vec<(i64, NodeTerm)>,
}

impl NodeAffinity {
    pub(crate) fn new(spec: &PodSpec) -> Self {
        let affinity = spec
            .affinity
            .as_ref()
            .and_then(|a| a.node_affinity.as_ref());
        let required = affinity
            .and_then(|a| {
                a.required_during_scheduling_ignored_during_execution
                    .as_ref()
            })
            .map(|required| required.node_selector_terms.iter());
        let preferred = affinity.and_then(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let weighted = preferred.into_iter().flatten();
        Self {
            selector: spec.node_selector.as_ref().map(Selector::labels),
            required: required.map(|terms| terms.map(NodeTerm::new).collect()),
            preferred: weighted
                .map(|one| (i64::from(one.weight), NodeTerm::new(&one.preference)))
                .collect(),
        }
    }

    /// Names of the only nodes that can match, if the pod limits itself to some.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        let mut names = Vec::new();
        for term in self.required.as_ref()? {
            for name in term.names()? {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        // Without any term no node matches, which is for the filter to say.
        (!self.required.as_ref()?.is_empty()).then_some(names)
    }

    pub(crate) fn fits(&self, snapshot: &Snapshot, node: NodeIndex) -> bool {
        if self.selector.is_none() && self.required.is_none() {
            return true;
        }
        let Some(object) = snapshot.object(node) else {
            return false;
        };
        let labels = &object.metadata.labels;
        let named = snapshot.name(node);
        let selected = self.selector.as_ref().is_none_or(|s| s.matches(labels));
        let mut required = self.required.iter();
        selected && required.all(|terms| terms.iter().any(|term| term.matches(named, labels)))
    }

    pub(crate) fn has_preferred(&self) -> bool {
        !self.preferred.is_empty()
    }

    /// The weights of what the node has.
    pub(crate) fn score(&self, snapshot: &Snapshot, node: NodeIndex) -> i64 {
        let Some(object) = snapshot.object(node) else {
            return 0;
        };
        let (name, labels) = (snapshot.name(node), &object.metadata.labels);
        let matching = self.preferred.iter();
        let matching = matching.filter(|(_, term)| term.matches(name, labels));
        matching.map(|(weight, _)| weight).sum()
    }
}
