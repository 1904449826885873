//! The etcd-compatible server: gRPC services, HTTP side, flags and TLS in front of a Raft node.
//!
//! - `flags`, `config`, `urls`: etcd's command line, environment and configuration file.
//! - `http2`, `grpc`, `route`: a small HTTP/2 server for gRPC, without I/O of its own.
//! - `serve`: listeners, TLS, and the single-threaded runtimes that own the connections.
//! - `service`: the gRPC services and what the HTTP pages learn of the member.
//! - `errors`: every code and text clients of etcd know.
//! - `http`, `metrics`, `log`: health, version, metrics and log lines in etcd's form.
//! - `os`: what a member runs on: the operating system, RocksDB, TCP and TLS.
//! - `app`: start and end of the process.
//!
//! Nothing below this crate knows gRPC; nothing here knows how Raft works.

#![forbid(unsafe_code)]

mod app;
pub mod config;
mod errors;
pub mod flags;
mod grpc;
mod http;
mod http2;
mod limits;
pub mod log;
mod metrics;
mod os;
mod route;
mod serve;
mod service;
mod systemd;
mod tls;
pub mod urls;
pub mod version;

pub use self::app::main;
pub use self::serve::BindError;
pub use self::tls::{TlsError, TlsFiles};
