//! What shall happen to a pod next: pure functions of its spec, of what was seen of it, and of the time.

mod actions;
mod backoff;
mod init;
mod policy;

pub use actions::{Kill, Plan, Reason, plan};
pub use backoff::Backoff;
pub use policy::{Policy, is_sidecar, should_restart};

#[cfg(test)]
mod tests;
