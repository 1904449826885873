//! Disruption budgets: how many pods of an application may be taken away now. The apiserver spends from a budget with
//! each eviction; this controller fills it again, from what it sees.

mod controller;
mod count;
mod events;
mod failed;
mod owners;
mod stale;
mod status;

pub use controller::disruption;
