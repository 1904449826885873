//! `ResourceQuota`: how much the objects of a namespace may use together.
//!
//! [`admit`] does all that admission needs: it tells whether a request fits into the namespace's quotas and
//! returns those whose `status.used` grows. The server stores them guarded by their resource versions, and
//! asks again about those that somebody else changed meanwhile, before it stores the object. [`Recount`]
//! counts anew what a quota is used up by, which is how usage ever shrinks.
//!
//! Bounds are those of `status.hard`, which whoever recounts copies from the spec: a quota nobody has counted
//! yet limits nothing, as upstream.

mod admit;
mod charge;
mod evaluator;
mod recount;
mod required;
mod scope;
#[cfg(test)]
mod tests;
mod usage;

pub use admit::{Refusal, admit};
pub use charge::charge;
pub use evaluator::{concerns, tracked_resources};
pub use recount::Recount;
pub use required::required;
pub use scope::matches;
pub use usage::usage;

use mainstay_machinery::quantity::Quantity;
use std::collections::BTreeMap;

/// Amounts by the names quotas limit them by: `pods`, `requests.cpu`, `count/jobs.batch`.
pub type Usage = BTreeMap<String, Quantity>;
