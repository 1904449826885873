//! Pod security: namespaces say by label which of three levels their pods must keep to.

mod admission;
mod baseline;
mod check;
mod level;
mod pod;
mod restricted;

pub use admission::{Answer, Exemptions, PodSecurity, pod_template};
pub use check::{Violation, evaluate};
pub use level::{LabelError, Level, LevelVersion, Policy, Version};
