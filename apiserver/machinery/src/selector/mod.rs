//! Label and field selectors: what a list, a watch or a controller asks for.
//!
//! Parsing costs allocations once; matching borrows the labels and allocates nothing.

mod field_selector;
mod label_selector;
mod lexer;
mod object;
mod parser;
mod requirement;

pub use field_selector::{FieldSelector, FieldTerm, escape_value};
pub use label_selector::LabelSelector;
pub use object::{from_label_selector, has_invalid_label_value};
pub use requirement::{Operator, Requirement};

use std::fmt;

/// Why a selector cannot be read, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError(String);

impl SelectorError {
    fn new(message: impl Into<String>) -> SelectorError {
        SelectorError(message.into())
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SelectorError {}

#[cfg(test)]
mod tests;
