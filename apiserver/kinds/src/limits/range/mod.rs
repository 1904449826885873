//! `LimitRange`: defaults and bounds for single pods and persistent volume claims.
//!
//! The server asks [`applies`] first, then lets [`set_defaults`] complete the pod before the object is
//! validated, and [`check`]s it after. A failed check is a 403 `Forbidden` with the text returned.

mod check;
mod constraint;
mod defaults;
#[cfg(test)]
mod tests;

pub use check::{applies, check};
pub use defaults::set_defaults;
