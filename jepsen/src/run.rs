//! One run: start, warm up, break, heal, quiesce, read everything back, judge.

mod finale;
mod harness;
mod phases;

pub use self::harness::interrupted;
pub use self::phases::{Finished, run};
