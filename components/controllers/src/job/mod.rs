//! Jobs: pods that run to their ends, counted exactly once.
//!
//! A round looks at all pods of a job ([`round`]), decides whether the job ends and by which rule ([`conditions`],
//! [`policy`]), which pods go and which are made ([`plan`], [`backoff`]), and counts those that came to their ends
//! ([`track`]).

mod backoff;
mod conditions;
mod controller;
mod indexes;
mod plan;
#[cfg(test)]
mod plan_test;
mod pod;
mod policy;
mod round;
mod spec;
mod track;
#[cfg(test)]
mod track_test;
mod untrack;

pub(crate) use conditions::{COMPLETE, finished};
pub use controller::jobs;
