//! Patches: JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch.
//!
//! [`apply`] is what a PATCH request does with the current object: it parses the body, patches a copy and brings the
//! result back to the form of the schema. The three algorithms are there for themselves too.

mod directive;
mod error;
mod json_patch;
mod list_merge;
mod merge_patch;
mod order;
mod pointer;
mod request;
mod strategic;

pub use error::PatchError;
pub use json_patch::{Operation, apply_json_patch, parse_json_patch};
pub use merge_patch::merge_patch;
pub use request::{PatchKind, Patched, apply};
pub use strategic::strategic_merge_patch;

#[cfg(test)]
mod tests;
