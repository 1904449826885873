//! One task for each pod, and who starts them.

mod act;
mod deadline;
mod life;
mod pods;

pub use life::Wish;
pub use pods::Pods;
