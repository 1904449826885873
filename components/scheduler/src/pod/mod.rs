//! Pods as the scheduler sees them.

mod info;
mod ports;
mod requests;
mod term;

pub use info::PodInfo;
pub(crate) use ports::HostPort;
pub(crate) use requests::Amounts;
pub(crate) use term::{PodTerm, Terms};
