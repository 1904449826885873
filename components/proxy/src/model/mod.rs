//! Services and who answers for them, as the apiserver tells it. Pure: no I/O, no clocks.

mod endpoint;
mod node;
mod plan;
mod service;
mod state;

pub use endpoint::{Endpoint, PortKey, Slice};
pub use node::Node;
pub use plan::{Plan, Refusal};
pub use service::{PortName, Protocol, Service, ServicePort};
pub use state::{Batch, State};
