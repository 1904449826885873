//! Black-box tests of the store and of the apiserver: real server processes, driven by clients written by others.
//!
//! This library is the harness. It starts members as processes on loopback ports, kills, pauses and restarts them,
//! and talks to them through the public protocol only; nothing here links against the server. The tests themselves
//! are in `tests/`: etcdctl side by side with Debian's etcd, the etcd-client crate, the Go client, and crashes.
//!
//! The server under test is the `kvstore` binary of the same target directory. `MAINSTAY_TEST_SERVER` names another
//! one, for example `/usr/bin/etcd`: the tests that etcd 3.4 can satisfy then prove themselves against it.

pub mod apiserver;
pub mod cluster;
pub mod control;
pub mod corruption;
pub mod crash;
pub mod front;
pub mod http_get;
pub mod limits;
pub mod load;
pub mod masters;
pub mod ports;
pub mod process;
pub mod raw;
pub mod rest;
pub mod server;
pub mod tls;
pub mod upstream;
pub mod wait;

pub use cluster::{Cluster, Options};
pub use raw::Raw;
pub use server::{Server, Version};
pub use wait::wait_until;
