//! Cgroups of pods, on both of the kernel's versions.

mod bounds;
#[expect(clippy::module_inception, reason = "it holds what the folder is about")]
mod cgroups;
mod hierarchy;
mod name;
mod tree;

pub use bounds::Bounds;
pub use cgroups::Cgroups;
pub use hierarchy::Hierarchy;
pub use name::{CgroupName, Driver};
