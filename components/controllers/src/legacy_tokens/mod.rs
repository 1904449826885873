//! Tokens that were made for service accounts without anybody asking, long ago: those that nobody uses are closed,
//! and after as long again they go.

mod controller;
mod verdict;

pub use controller::legacy_token_cleaner;
