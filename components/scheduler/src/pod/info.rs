//! A pod with what is computed from it once.

use std::sync::{Arc, LazyLock};

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use mainstay_client::controller_of;

use super::ports::{HostPort, host_ports};
use super::requests::{Amounts, Missing, requests};
use super::term::Terms;
use crate::selector::Labels;

/// Of what is not there.
static NO_SPEC: LazyLock<PodSpec> = LazyLock::new(PodSpec::default);

/// A pod, and what it asks for.
#[derive(Clone, Debug)]
pub struct PodInfo {
    /// Only of a pod that waits: there are many more at nodes, and an object takes ten times the room of all else here.
    pod: Option<Arc<Pod>>,
    uid: String,
    namespace: String,
    name: String,
    node: Option<String>,
    priority: i32,
    labels: Labels,
    goes: bool,
    pub(crate) asks: Amounts,
    /// CPU and memory with what is assumed of containers that ask for none.
    pub(crate) scored_cpu: i64,
    pub(crate) scored_memory: i64,
    pub(crate) ports: Vec<HostPort>,
    pub(crate) terms: Option<Arc<Terms>>,
}

impl PodInfo {
    #[must_use]
    pub fn new(pod: Arc<Pod>) -> Self {
        let spec = pod.spec.as_ref().unwrap_or(&NO_SPEC);
        let scored = requests(&pod, spec, Missing::Assumed);
        let meta = &pod.metadata;
        let namespace = meta.namespace.clone().unwrap_or_default();
        let affinity = spec.affinity.as_ref();
        let terms = affinity.and_then(|affinity| Terms::new(affinity, &namespace));
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            node: spec.node_name.clone().filter(|node| !node.is_empty()),
            priority: spec.priority.unwrap_or(0),
            labels: meta.labels.clone(),
            goes: meta.deletion_timestamp.is_some(),
            asks: requests(&pod, spec, Missing::Nothing),
            scored_cpu: scored.cpu,
            scored_memory: scored.memory,
            ports: host_ports(spec),
            terms: terms.map(Arc::new),
            namespace,
            pod: Some(pod),
        }
    }

    /// The same without its object: what others must know of it.
    #[must_use]
    pub fn without_object(&self) -> Self {
        Self {
            pod: None,
            ..self.clone()
        }
    }

    /// The object itself, of a pod that waits.
    #[must_use]
    pub fn object(&self) -> Option<&Arc<Pod>> {
        self.pod.as_ref()
    }

    /// What it is to be, of a pod that waits; nothing of others.
    pub(crate) fn spec(&self) -> &PodSpec {
        let spec = self.pod.as_ref().and_then(|pod| pod.spec.as_ref());
        spec.unwrap_or(&NO_SPEC)
    }

    /// Who looks after it, of a pod that waits.
    pub(crate) fn owner(&self) -> Option<&OwnerReference> {
        self.pod
            .as_ref()
            .and_then(|pod| controller_of(pod.as_ref()))
    }

    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node it is bound to.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    #[must_use]
    pub fn priority(&self) -> i32 {
        self.priority
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Whether it is being deleted; it still takes its resources.
    pub(crate) fn goes(&self) -> bool {
        self.goes
    }

    /// Whether both count the same for all others.
    pub(crate) fn weighs_as(&self, other: &Self) -> bool {
        self.asks == other.asks
            && (self.scored_cpu, self.scored_memory) == (other.scored_cpu, other.scored_memory)
            && self.goes() == other.goes()
            && self.labels() == other.labels()
    }
}
