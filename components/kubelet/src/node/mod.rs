//! The node itself: what it is, how it is, and that it is there.

mod lease;
mod machine;
mod object;
mod register;
mod runtime_health;

pub use lease::keep_lease;
pub(crate) use machine::own_address;
pub use machine::{Machine, Pages, read_machine};
pub use object::{Health, Identity, Reserved, Taints, allocatable, capacity, labels};
pub use register::{Registration, keep_registered};
