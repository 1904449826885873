//! The figures of a running cluster of hosts with real containers: `mainstay up` on this machine, seen from outside.

mod cluster;
mod pods;
mod processes;
mod report;
mod run;
mod services;

pub(crate) use run::{Plan, run};
