//! What the kubelet says of a pod: pure functions of what was seen of it.

mod conditions;
mod containers;
mod phase;
mod pod;
mod rejected;
mod times;

pub use pod::{Ended, Facts, Failure, Failures, Phase, status};
pub use rejected::{rejected, rejection_of};
pub use times::{seconds, time_of_nanos};

#[cfg(test)]
mod tests;
