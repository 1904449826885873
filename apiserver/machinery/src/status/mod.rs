//! `metav1.Status`, the answer to every request that fails.

mod details;
mod error;
mod generic;
mod messages;
mod object;
mod reason;

#[cfg(test)]
mod tests;

pub use details::{Cause, Details, cause_type};
pub use error::StatusError;
pub use messages::{OPTIMISTIC_LOCK, forbidden_message};
pub use object::{GroupKind, GroupResource};
pub use reason::Reason;
