//! Secrets of the type `kubernetes.io/service-account-token`: who makes one is given a token that lives as long.

mod claims;
mod controller;
mod secret;

pub use controller::account_tokens;
