//! What pods want to be near to, and what not.

use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm, WeightedPodAffinityTerm};

use crate::selector::{Labels, Selector};

/// Pods of some namespaces with some labels, within one value of a topology.
#[derive(Clone, Debug)]
pub(crate) struct PodTerm {
    pub(crate) topology: String,
    pub(crate) selector: Selector,
    pub(crate) namespaces: Vec<String>,
    /// Namespaces with these labels too.
    pub(crate) namespace_selector: Selector,
    /// 1 for required ones.
    pub(crate) weight: i64,
}

impl PodTerm {
    fn new(term: &PodAffinityTerm, namespace: &str, weight: i64) -> Self {
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(namespace.to_owned());
        }
        Self {
            topology: term.topology_key.clone(),
            selector: Selector::new(term.label_selector.as_ref()),
            namespaces,
            namespace_selector: Selector::new(term.namespace_selector.as_ref()),
            weight,
        }
    }

    /// `of_namespace` are the labels of the namespace.
    pub(crate) fn matches(&self, namespace: &str, of_namespace: &Labels, labels: &Labels) -> bool {
        let here = self.namespaces.iter().any(|one| one == namespace)
            || self.namespace_selector.matches(of_namespace);
        here && self.selector.matches(labels)
    }
}

/// All terms of a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) affinity: Vec<PodTerm>,
    pub(crate) anti: Vec<PodTerm>,
    pub(crate) preferred: Vec<PodTerm>,
    /// With weights above zero, as they are written; they count against a node.
    pub(crate) avoided: Vec<PodTerm>,
}

impl Terms {
    /// `None` if there are none.
    pub(crate) fn new(affinity: &Affinity, namespace: &str) -> Option<Self> {
        let required = |terms: Option<&Vec<PodAffinityTerm>>| -> Vec<PodTerm> {
            let terms = terms.into_iter().flatten();
            terms.map(|t| PodTerm::new(t, namespace, 1)).collect()
        };
        let weighted = |terms: Option<&Vec<WeightedPodAffinityTerm>>| -> Vec<PodTerm> {
            let terms = terms.into_iter().flatten();
            terms
                .map(|t| PodTerm::new(&t.pod_affinity_term, namespace, i64::from(t.weight)))
                .collect()
        };
        let with = affinity.pod_affinity.as_ref();
        let without = affinity.pod_anti_affinity.as_ref();
        let terms = Self {
            affinity: required(with.and_then(|a| {
                a.required_during_scheduling_ignored_during_execution
                    .as_ref()
            })),
            anti: required(without.and_then(|a| {
                a.required_during_scheduling_ignored_during_execution
                    .as_ref()
            })),
            preferred: weighted(with.and_then(|a| {
                a.preferred_during_scheduling_ignored_during_execution
                    .as_ref()
            })),
            avoided: weighted(without.and_then(|a| {
                a.preferred_during_scheduling_ignored_during_execution
                    .as_ref()
            })),
        };
        let some = terms.all().next().is_some();
        some.then_some(terms)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &PodTerm> {
        let required = self.affinity.iter().chain(&self.anti);
        required.chain(&self.preferred).chain(&self.avoided)
    }
}
