//! What kubelets may do: a graph from nodes through their pods to the objects those pods use, and the rules
//! that go with it.

mod authorizer;
mod graph;
mod reference;

pub use authorizer::NodeAuthorizer;
pub use graph::{NodeGraph, ObjectKind};
pub use reference::{POD_PARTS, has_api_reference, pod_references};
pub(crate) use reference::{containers, is_mirror_pod, list};
