//! What a namespace may use: the rules of its `LimitRange`s for single objects, and of its
//! `ResourceQuota`s for all of them together.
//!
//! Everything here is pure: the server brings the objects, applies the verdict and stores what comes
//! back. The rules and texts are those of upstream's admission plugins `LimitRanger` and `ResourceQuota`
//! without a configuration of their own.

mod change;
mod names;
mod pod_totals;
pub mod quota;
pub mod range;
pub mod resize;

pub use change::Change;
