//! The Kubernetes API under load (`mainstay-bench apiserver`).
//!
//! A stack is a store with apiservers on it. The same rows run against every stack in turn: Mainstay's, and others
//! that are named by their binaries. All clients are one thread with its own epoll loop, HTTP/1.1 and rustls; answers
//! are counted and searched, never parsed.

mod bodies;
mod calls;
mod conn;
pub(crate) mod fleet;
pub(crate) mod http;
pub(crate) mod marks;
mod report;
mod rows;
mod run;
mod stack;
mod watch;

pub(crate) use run::{Plan, run};
pub(crate) use stack::{Program, Stack, TOKEN};
