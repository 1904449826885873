//! Finished jobs go some time after their end, if they say so.

mod controller;

pub use controller::ttl_after_finished;
