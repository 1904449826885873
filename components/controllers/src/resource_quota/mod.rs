//! What quotas are used up by, counted anew: usage grows by admission and shrinks here.
//!
//! What one object uses is the apiserver's own arithmetic; here is when to count ([`controller`]) and what to look
//! at ([`count`]).

mod controller;
mod count;
mod watched;

pub use controller::resource_quotas;
