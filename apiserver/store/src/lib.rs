//! Objects in an etcd, and the cache that serves lists and watches.
#![forbid(unsafe_code)]
