//! Cron jobs: jobs at set times.
//!
//! The name of a job is made of the time it is for: whatever write this dies after, no time has two jobs.

mod controller;
mod due;
mod history;
mod schedule;

pub use controller::cron_jobs;
