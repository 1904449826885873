//! Load generators and the side-by-side comparison with etcd (`make bench`).
//!
//! `compare` starts an etcd and a subject with the same flags and runs the same rows against both in
//! turn; `run` drives servers that are already running; `apiserver` measures apiservers on their stores; `components`
//! measures a whole control plane, `stack` a running
//! cluster with containers. The client is one thread with an HTTP/2 of its own, so that what is measured is the
//! server. Servers are black boxes: nothing of them is linked.

#![forbid(unsafe_code)]

mod api;
mod catalog;
mod cli;
mod clock;
mod cluster;
mod compare;
mod conn;
mod fleet;
mod frame;
mod hpack;
mod interrupt;
mod latency;
mod limits;
mod load;
mod machine;
mod measurement;
mod plane;
mod report;
mod schedule;
mod stack;
mod usage;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::main() {
        Ok(code) => code,
        Err(e) => {
            compare::say(&format!("error: {e:#}"));
            ExitCode::FAILURE
        }
    }
}
