//! Package `etcdserverpb`: the messages of the etcd v3 services, by service.

mod auth;
mod cluster;
mod header;
mod kv;
mod lease;
mod maintenance;
mod watch;

pub use auth::*;
pub use cluster::*;
pub use header::*;
pub use kv::*;
pub use lease::*;
pub use maintenance::*;
pub use watch::*;
