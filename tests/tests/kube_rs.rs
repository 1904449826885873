//! The kube crate, which Rust controllers are written with, against the apiserver.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "kube_rs/history.rs"]
mod history;
#[path = "kube_rs/objects.rs"]
mod objects;
#[path = "kube_rs/pages.rs"]
mod pages;
#[path = "kube_rs/subresources.rs"]
mod subresources;
#[path = "kube_rs/support.rs"]
mod support;
#[path = "kube_rs/watching.rs"]
mod watching;
#[path = "kube_rs/writer.rs"]
mod writer;
