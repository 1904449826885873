//! Connections: listening, TLS, telling HTTP/1 from HTTP/2, and the task that drives each connection.

mod accept;
mod call;
mod driver;
mod http1;
mod listen;
mod registry;
mod sniff;
mod workers;

pub(crate) use call::{Duplex, Incoming, Pending, Reply, Service};
pub(crate) use driver::KeepAlive;
pub use listen::BindError;
pub(crate) use listen::{Bound, Reuse, Role, bind, bind_peers};
pub(crate) use workers::{Thread, Wiring, Workers};
