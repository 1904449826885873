//! Fault tests on real processes: workloads, nemeses, histories, verdicts.
//!
//! A run starts a cluster of servers, lets clients work on it while a nemesis breaks it, heals it, reads everything
//! back, and has the history judged by `mainstay-check`, which knows nothing of servers. Faults come from
//! `mainstay-faults`. The same run drives this project's server and Debian's etcd.

#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod figures;
pub mod known;
pub mod limits;
pub mod menu;
pub mod nemesis;
pub mod one;
pub mod plan;
pub mod progress;
pub mod report;
pub mod run;
pub mod series;
pub mod subject;
pub mod tally;
pub mod tower;
pub mod verdict;
pub mod workload;
