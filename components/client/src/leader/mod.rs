//! One instance of several works; the others wait for it to end.
//!
//! The election is client-go's, by a Lease of `coordination.k8s.io`, and mixes with its candidates. Beyond it, a
//! [`Fence`] keeps a leader that was stopped past its lease from writing when it wakes.

mod clock;
mod election;
mod elector;
mod fence;
mod options;
mod record;

pub use elector::{Elector, identity};
pub use fence::{Fence, Fenced};
pub use options::ElectionOptions;
