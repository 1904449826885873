//! What all pods of a node share.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use mainstay_client::{Events, Informer};
use mainstay_cri::Runtime;

use crate::admit::Admission;
use crate::cgroups::Cgroups;
use crate::report::Statuses;
use crate::runtime::Images;
use crate::spec::NodeFacts;
use crate::volumes::Volumes;

/// What all pods of a node share.
pub struct Context {
    pub facts: NodeFacts,
    pub runtime: Runtime,
    /// As `containerd`.
    pub runtime_name: String,
    pub images: Images,
    pub admission: Admission,
    pub services: Arc<Informer<Service>>,
    pub events: Events,
    pub statuses: Statuses,
    pub volumes: Arc<Volumes>,
    pub cgroups: Arc<Cgroups>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("node", &self.facts.name)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// The node's addresses as statuses have them.
    pub fn host_ips(&self) -> Vec<String> {
        self.facts
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}
