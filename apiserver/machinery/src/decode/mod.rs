//! From the bytes of a request to an object that has only known fields, in the form Go would print again.
//!
//! [`json`] and [`yaml`] make a `Value` and note duplicate keys; [`prune`] walks it by the schema: unknown fields go,
//! zero values that Go leaves out go, times, quantities and base64 get their canonical text, and the first value of
//! a wrong type is an error in the words of Go's decoder. [`object`] does all that for the body of a request.

mod body;
mod depth;
mod error;
mod json;
mod order;
mod outline;
mod prune;
mod scalar;
mod syntax;
mod trail;
mod yaml;
mod yaml_scalar;

pub(crate) use body::{KindError, check_kind, settle};
pub(crate) use prune::{Words, zero};
pub(crate) use yaml_scalar::reads_as_plain_string;

pub use body::{Decoded, Expected, Media, object, strict_error, transform_error};
pub use depth::check_depth;
pub use error::DecodeError;
pub use json::{Parsed, json, json_lenient};
pub use outline::Outline;
pub use prune::{Pruned, prune, prune_quietly};
pub use yaml::yaml;

/// What happens to unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped and the client is warned.
    #[default]
    Warn,
    /// The request fails.
    Strict,
}

impl FieldValidation {
    /// The value of the query parameter; empty is Warn. None for anything else, which
    /// [`crate::validate::field_validation`] answers.
    pub fn parse(text: &str) -> Option<FieldValidation> {
        match text {
            "" | "Warn" => Some(FieldValidation::Warn),
            "Ignore" => Some(FieldValidation::Ignore),
            "Strict" => Some(FieldValidation::Strict),
            _ => None,
        }
    }

    /// Whether unknown and duplicate fields are looked for.
    pub fn reports(self) -> bool {
        self != FieldValidation::Ignore
    }
}

#[cfg(test)]
mod tests;
