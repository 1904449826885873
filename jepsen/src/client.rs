//! The clients: one connection to one member each, one operation at a time, nothing ever tried again by itself.
//!
//! Whatever they do is in the history before they do the next thing. An operation whose outcome nobody knows ends the
//! client's number: it goes on under a new one, so that the order of one client's operations stays total.

mod answer;
mod call;
mod journal;
mod load;
mod outcome;
mod request;
mod watching;

pub use self::call::{Client, Reply, Shared};
pub use self::journal::{Clock, Journal, JournalWriter};
pub use self::load::{Load, Stop};
pub use self::outcome::Failure;
pub use self::watching::{Step, WatchStream};
