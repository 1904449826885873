//! What must hold, whatever happens.
//!
//! `log` watches all members' logs and finds out what is committed; `model` replays exactly that and knows
//! every state the store went through; `answers`, `watches` and `leases` hold what clients were told
//! against it. They share no code with the store beyond the wire messages and the decoding of entries.

pub(crate) mod answers;
pub(crate) mod leases;
pub(crate) mod log;
pub(crate) mod model;
pub(crate) mod watches;

/// Something that must never happen, happened.
#[derive(Clone, Debug)]
pub(crate) struct Violation(pub(crate) String);

/// `violated!("…", …)`: returns the violation.
macro_rules! violated {
    ($($what:tt)*) => { return Err($crate::oracle::Violation(format!($($what)*))) };
}
pub(crate) use violated;

pub(crate) type Checked = Result<(), Violation>;
