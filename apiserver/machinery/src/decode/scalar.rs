//! Scalars: is the value of the type, and how would Go print it again?

use super::error::DecodeError;
use crate::meta;
use crate::quantity::Quantity;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mainstay_schema::Scalar;
use serde_json::Value;

/// What is wrong with a scalar.
pub(super) enum Wrong {
    /// It has another JSON type than Go expects; decoding goes on and the first of these is reported.
    Type {
        found: String,
        expected: &'static str,
    },
    /// As `Type`, but Go stops at once.
    FatalType {
        found: String,
        expected: &'static str,
    },
    /// The text is malformed; decoding goes on.
    Text(String),
    /// The text is malformed and Go stops at once.
    FatalText(String),
}

/// Go's base64 decoder: padding is needed, stray bits at the end are not looked at.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Checks a value that is not null and brings it to Go's form.
pub(super) fn normalize(scalar: Scalar, value: &mut Value) -> Result<(), Wrong> {
    match scalar {
        Scalar::Any | Scalar::FieldsV1 => Ok(()),
        Scalar::String => string(value, false).map(drop),
        Scalar::Bool if value.is_boolean() => Ok(()),
        Scalar::Bool => Err(wrong_type(value, "bool")),
        Scalar::Int32 => integer(value, i32::MIN.into(), i32::MAX.into(), "int32"),
        Scalar::Int64 => integer(value, i64::MIN, i64::MAX, "int64"),
        Scalar::Double if value.is_number() => Ok(()),
        Scalar::Double => Err(wrong_type(value, "float64")),
        Scalar::IntOrString if value.is_string() => Ok(()),
        Scalar::IntOrString => {
            integer(value, i32::MIN.into(), i32::MAX.into(), "int32").map_err(fatal)
        }
        Scalar::Bytes => bytes(value),
        Scalar::Quantity => {
            let quantity =
                Quantity::from_value(value).map_err(|e| Wrong::FatalText(e.to_string()))?;
            let text = quantity.to_string();
            if value.as_str() != Some(text.as_str()) {
                *value = Value::String(text);
            }
            Ok(())
        }
        Scalar::Time => time(value, meta::normalize_time),
        Scalar::MicroTime => time(value, meta::normalize_micro_time),
    }
}

fn fatal(wrong: Wrong) -> Wrong {
    match wrong {
        Wrong::Type { found, expected } => Wrong::FatalType { found, expected },
        other => other,
    }
}

fn string(value: &Value, is_fatal: bool) -> Result<&str, Wrong> {
    let wrong = || {
        let wrong = wrong_type(value, "string");
        if is_fatal { fatal(wrong) } else { wrong }
    };
    value.as_str().ok_or_else(wrong)
}

fn integer(value: &Value, min: i64, max: i64, expected: &'static str) -> Result<(), Wrong> {
    match value {
        Value::Number(n) if n.as_i64().is_some_and(|n| (min..=max).contains(&n)) => Ok(()),
        Value::Number(n) => Err(Wrong::Type {
            found: format!("number {n}"),
            expected,
        }),
        _ => Err(wrong_type(value, expected)),
    }
}

fn time(
    value: &mut Value,
    normalize: fn(&str) -> Result<Option<String>, meta::ParseTimeError>,
) -> Result<(), Wrong> {
    let text = string(value, true)?;
    match normalize(text) {
        Ok(None) => Ok(()),
        Ok(Some(normal)) => {
            *value = Value::String(normal);
            Ok(())
        }
        Err(e) => Err(Wrong::FatalText(e.to_string())),
    }
}

fn bytes(value: &mut Value) -> Result<(), Wrong> {
    let text = match &*value {
        Value::String(text) => text,
        other => return Err(wrong_type(other, "[]uint8")),
    };
    let mut stripped = String::new();
    let clean: &str = if text.contains(['\r', '\n']) {
        stripped.extend(text.chars().filter(|c| !matches!(c, '\r' | '\n')));
        &stripped
    } else {
        text
    };
    let decoded = BASE64
        .decode(clean)
        .map_err(|e| Wrong::Text(base64_error(&e, clean)))?;
    // Only stray bits in the last character can make the text differ from what is printed again.
    let canonical = BASE64.encode(decoded);
    if canonical != *text {
        *value = Value::String(canonical);
    }
    Ok(())
}

fn base64_error(error: &base64::DecodeError, text: &str) -> String {
    let at = match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
            *at
        }
        _ => text.len() - text.len() % 4,
    };
    format!("illegal base64 data at input byte {at}")
}

/// A value of another JSON type than expected.
pub(super) fn wrong_type(value: &Value, expected: &'static str) -> Wrong {
    Wrong::Type {
        found: json_type(value).to_owned(),
        expected,
    }
}

/// What Go calls a JSON value in errors.
pub(super) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Wrong {
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self, Wrong::FatalType { .. } | Wrong::FatalText(_))
    }

    /// The error with the Go struct and fields it happened in; `place` is empty at the root.
    pub(super) fn into_error(self, place: &str) -> DecodeError {
        match self {
            Wrong::Text(text) | Wrong::FatalText(text) => DecodeError::new(text),
            Wrong::Type { found, expected } | Wrong::FatalType { found, expected } => {
                type_error(&found, place, expected)
            }
        }
    }
}

/// `json: cannot unmarshal string into Go struct field PodSpec.spec.x of type int32`.
pub(super) fn type_error(found: &str, place: &str, expected: &str) -> DecodeError {
    DecodeError::new(if place.is_empty() {
        format!("json: cannot unmarshal {found} into Go value of type {expected}")
    } else {
        format!("json: cannot unmarshal {found} into Go struct field {place} of type {expected}")
    })
}
