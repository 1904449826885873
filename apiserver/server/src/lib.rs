//! The Kubernetes API, served from an etcd: one generic implementation of every verb for every kind.
//!
//! A request goes through `serve` (TLS, HTTP), `server` (who asks, may they), `registry` (the verb) and `admission`
//! (rules that look at other objects); what is stored goes through `mainstay-apistore`, and lists and watches come from its
//! caches. Any number of these servers stand side by side on one store.
#![forbid(unsafe_code)]

mod admission;
mod always;
mod answer;
mod app;
mod body;
mod components;
mod flags;
mod health;
mod identity;
mod inflight;
mod kubelet;
mod limits;
mod loops;
mod metrics;
mod pages;
mod pki;
mod proxy;
mod registry;
mod request;
mod serve;
mod server;
mod services;
mod spdy;
mod tls;
mod upload;

pub use self::app::main;
