//! Decisions, case by case as upstream documents them.

mod filters;
mod naive;
mod placement;
mod scores;
pub(crate) mod support;
