//! Probes: whether containers have started, live, and are ready.
//!
//! A probe belongs to one container by its id, and ends with it. Counting is pure ([`Count`]); a check that could not be
//! made counts for nothing.

mod check;
mod count;
mod grpc;
mod http;
mod prober;
mod tls;
mod verdict;

pub use check::{Outcome, Target, check};
pub use count::Count;
pub use http::{Fetch, fetch};
pub(crate) use prober::has_probes;
pub use prober::{Probed, Probes};
pub use verdict::{Purpose, Verdict, Verdicts};
