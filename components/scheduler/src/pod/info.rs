//! A pod with what is computed from it once.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::ports::{HostPort, host_ports};
use super::requests::{Amounts, Missing, requests};
use super::term::Terms;
use crate::selector::Labels;

/// A pod, and what it asks for.
#[derive(Debug)]
pub struct PodInfo {
    pub(crate) pod: Arc<Pod>,
    pub(crate) asks: Amounts,
    /// CPU and memory with what is assumed of containers that ask for none.
    pub(crate) scored_cpu: i64,
    pub(crate) scored_memory: i64,
    pub(crate) ports: Vec<HostPort>,
    pub(crate) terms: Option<Box<Terms>>,
}

impl PodInfo {
    #[must_use]
    pub fn new(pod: Arc<Pod>) -> Self {
        let none = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&none);
        let scored = requests(&pod, spec, Missing::Assumed);
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let affinity = spec.affinity.as_ref();
        Self {
            asks: requests(&pod, spec, Missing::Nothing),
            scored_cpu: scored.cpu,
            scored_memory: scored.memory,
            ports: host_ports(spec),
            terms: affinity.and_then(|affinity| Terms::new(affinity, namespace)),
            pod,
        }
    }

    /// The object itself.
    #[must_use]
    pub fn object(&self) -> &Arc<Pod> {
        &self.pod
    }

    #[must_use]
    pub fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    #[must_use]
    pub fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// The node it is bound to.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        let node = self.pod.spec.as_ref()?.node_name.as_deref()?;
        (!node.is_empty()).then_some(node)
    }

    #[must_use]
    pub fn priority(&self) -> i32 {
        self.pod.spec.as_ref().and_then(|s| s.priority).unwrap_or(0)
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.pod.metadata.labels
    }

    /// Whether it is being deleted; it still takes its resources.
    pub(crate) fn goes(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Whether both count the same for all others.
    pub(crate) fn weighs_as(&self, other: &Self) -> bool {
        self.asks == other.asks
            && (self.scored_cpu, self.scored_memory) == (other.scored_cpu, other.scored_memory)
            && self.goes() == other.goes()
            && self.labels() == other.labels()
    }
}
