//! Histories of operations and the checkers that judge them.

#![forbid(unsafe_code)]

pub mod history;
pub mod limits;

pub use self::history::{History, Record};
