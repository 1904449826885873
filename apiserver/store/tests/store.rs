//! The client and the cache on real stores: Mainstay's, and Debian's etcd.
//!
//! The servers are processes on loopback, started by the harness of `mainstay-tests`.

#[path = "store/cached.rs"]
mod cached;
#[path = "store/consistency.rs"]
mod consistency;
#[path = "store/following.rs"]
mod following;
#[path = "store/leases.rs"]
mod leases;
#[path = "store/model.rs"]
mod model;
#[path = "store/support.rs"]
mod support;
#[path = "store/trouble.rs"]
mod trouble;
#[path = "store/writes.rs"]
mod writes;
