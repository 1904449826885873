//! Pods in the runtime's words: pure functions from a pod's spec, a node's facts and the objects they refer to.
//!
//! Nothing here asks anybody: files, mounts and objects of the apiserver are what the caller has found.

mod amounts;
mod container;
mod environment;
mod error;
mod expand;
mod fields;
mod hostname;
mod layout;
mod node_facts;
mod ports;
mod qos;
mod resolver;
mod resources;
mod sandbox;
mod security;
mod service_env;
mod signals;

pub(crate) use amounts::amount;
pub use container::{ContainerInput, container_config};
pub use environment::{Environment, EnvironmentSources, Objects};
pub use error::ConfigError;
pub use expand::expand;
pub(crate) use fields::file_field;
pub use hostname::Hostname;
pub use layout::{Layout, container_log, uid_of_logs};
pub use node_facts::NodeFacts;
pub use ports::port_mappings;
pub use qos::{QosClass, is_sidecar, oom_score_adj};
pub use resolver::{ResolvConf, pod_dns};
pub use resources::{PodResources, container_resources, quota, shares};
pub use sandbox::sandbox_config;
pub use security::{ImageUser, namespaces, verify_non_root};
pub use signals::{signal, signal_name};

#[cfg(test)]
pub(crate) mod tests;
