//! Objects in an etcd, and the cache that serves lists and watches of them.
//!
//! - `client/` speaks the etcd v3 API to any etcd: reads, pages, guarded writes, leases, and a watch that survives the
//!   loss of members. It knows nothing of Kubernetes.
//! - `cache/` holds one resource: its objects in key order, its latest events, and the watchers of parts of it. The
//!   logic there is pure; [`ResourceCache`] alone joins it to a store.
//!
//! Objects are opaque bytes to this crate. What it must know of one (labels, fields, an index value) comes from a
//! [`Decode`] of the caller, and the bytes of a watch frame from the caller's encoder, once per event and
//! representation.

#![forbid(unsafe_code)]

pub mod cache;
pub mod client;
pub mod limits;

pub use cache::{
    Attributes, CacheConfig, CacheError, CacheStats, Decode, Delivery, Event, EventKind, Filter,
    Freshness, Object, ResourceCache, RingLimits, Scope, Start, Step, StorePage, View,
    WatchRequest, Watcher,
};
pub use client::{
    Client, ClientConfig, Compactor, Consistency, Created, Deleted, Failure, LeasePool, ListPage,
    PageRequest, Stored, Tls, Updated, Watch, WatchItem,
};
