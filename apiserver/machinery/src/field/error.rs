//! One error about one field.

use super::Path;
use crate::gofmt;
use serde_json::Value;
use std::fmt;

/// What is wrong, as `details.causes[].reason` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A value that is named by another field does not exist.
    NotFound,
    /// A field that must be set is not.
    Required,
    /// A value that must be unique is not.
    Duplicate,
    /// The value is malformed.
    Invalid,
    /// The value is none of an enumeration.
    NotSupported,
    /// The value may not be set under the circumstances.
    Forbidden,
    /// The value has too many bytes.
    TooLong,
    /// The list has too many items.
    TooMany,
    /// The list has too few items.
    TooFew,
    /// The validation itself failed.
    Internal,
    /// The value is of another type than the schema says.
    TypeInvalid,
    /// The value has too few characters.
    TooShort,
}

impl ErrorKind {
    /// The name on the wire (`metav1.CauseType`).
    pub fn cause_type(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "FieldValueNotFound",
            ErrorKind::Required => "FieldValueRequired",
            ErrorKind::Duplicate => "FieldValueDuplicate",
            ErrorKind::Invalid => "FieldValueInvalid",
            ErrorKind::NotSupported => "FieldValueNotSupported",
            ErrorKind::Forbidden => "FieldValueForbidden",
            ErrorKind::TooLong => "FieldValueTooLong",
            ErrorKind::TooMany => "FieldValueTooMany",
            ErrorKind::TooFew => "FieldValueTooFew",
            ErrorKind::Internal => "InternalError",
            ErrorKind::TypeInvalid => "FieldValueTypeInvalid",
            ErrorKind::TooShort => "FieldValueTooShort",
        }
    }

    /// The words that begin the message.
    pub fn text(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "Not found",
            ErrorKind::Required => "Required value",
            ErrorKind::Duplicate => "Duplicate value",
            ErrorKind::Invalid | ErrorKind::TypeInvalid => "Invalid value",
            ErrorKind::NotSupported => "Unsupported value",
            ErrorKind::Forbidden => "Forbidden",
            ErrorKind::TooLong => "Too long",
            ErrorKind::TooMany => "Too many",
            ErrorKind::TooFew => "Too few",
            ErrorKind::Internal => "Internal error",
            ErrorKind::TooShort => "Too short",
        }
    }

    fn shows_value(self) -> bool {
        !matches!(
            self,
            ErrorKind::Required
                | ErrorKind::Forbidden
                | ErrorKind::TooLong
                | ErrorKind::TooShort
                | ErrorKind::Internal
        )
    }
}

/// The value an error is about.
#[derive(Clone, Debug, PartialEq)]
pub enum BadValue {
    /// Not shown.
    Omitted,
    /// Shown in the message: strings quoted, lists and maps as JSON.
    Shown(Value),
}

/// One error about one field, `spec.replicas: Invalid value: -1: must be greater than or equal to 0`.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The path's text.
    pub field: String,
    /// The value that is wrong.
    pub bad: BadValue,
    /// Why, in words; may be empty.
    pub detail: String,
}

impl Error {
    fn new(
        kind: ErrorKind,
        path: &Path,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Error {
        Error {
            kind,
            field: path.to_string(),
            bad: BadValue::Shown(value.into()),
            detail: detail.into(),
        }
    }

    fn without_value(kind: ErrorKind, path: &Path, detail: impl Into<String>) -> Error {
        Error {
            kind,
            field: path.to_string(),
            bad: BadValue::Omitted,
            detail: detail.into(),
        }
    }

    /// The field must be set; the detail may be empty.
    pub fn required(path: &Path, detail: impl Into<String>) -> Error {
        Error::without_value(ErrorKind::Required, path, detail)
    }

    /// The value is malformed.
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, path, value, detail)
    }

    /// The value has another type than it must have.
    pub fn type_invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Error {
        Error::new(ErrorKind::TypeInvalid, path, value, detail)
    }

    /// The value is none of `supported`, which is printed in the order given: pass it sorted, as upstream does.
    pub fn not_supported<S: AsRef<str>>(
        path: &Path,
        value: impl Into<Value>,
        supported: &[S],
    ) -> Error {
        let quoted: Vec<String> = supported.iter().map(|s| gofmt::quote(s.as_ref())).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        Error::new(ErrorKind::NotSupported, path, value, detail)
    }

    /// The value occurs more than once.
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Error {
        Error::new(ErrorKind::Duplicate, path, value, "")
    }

    /// What the value names does not exist.
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Error {
        Error::new(ErrorKind::NotFound, path, value, "")
    }

    /// The field may not be set, or not to this value, now.
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Error {
        Error::without_value(ErrorKind::Forbidden, path, detail)
    }

    /// The value has more than `bytes_max` bytes. It is not repeated in the message.
    pub fn too_long(path: &Path, bytes_max: usize) -> Error {
        let unit = if bytes_max == 1 { "byte" } else { "bytes" };
        let detail = format!("may not be more than {bytes_max} {unit}");
        Error::without_value(ErrorKind::TooLong, path, detail)
    }

    /// The value has fewer than `chars_min` characters.
    pub fn too_short(path: &Path, chars_min: usize) -> Error {
        let unit = if chars_min == 1 {
            "character"
        } else {
            "characters"
        };
        let detail = format!("must be at least {chars_min} {unit}");
        Error::without_value(ErrorKind::TooShort, path, detail)
    }

    /// The list has `actual` items and may have at most `max`.
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Error {
        let unit = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {unit}");
        Error::new(ErrorKind::TooMany, path, actual, detail)
    }

    /// The list has `actual` items and must have at least `min`.
    pub fn too_few(path: &Path, actual: usize, min: usize) -> Error {
        let unit = if min == 1 { "item" } else { "items" };
        let detail = format!("must have at least {min} {unit}");
        Error::new(ErrorKind::TooFew, path, actual, detail)
    }

    /// The validation itself failed.
    pub fn internal(path: &Path, cause: impl fmt::Display) -> Error {
        Error::without_value(ErrorKind::Internal, path, cause.to_string())
    }

    /// The message without the field, as `details.causes[].message` has it.
    pub fn body(&self) -> String {
        let mut body = self.kind.text().to_owned();
        if let (true, BadValue::Shown(value)) = (self.kind.shows_value(), &self.bad) {
            body.push_str(": ");
            match value {
                Value::String(s) => body.push_str(&gofmt::quote(s)),
                other => body.push_str(&gofmt::json(other)),
            }
        }
        if !self.detail.is_empty() {
            body.push_str(": ");
            body.push_str(&self.detail);
        }
        body
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_upstreams() {
        let path = Path::new("spec").child("x");
        for (error, want) in [
            (Error::required(&path, ""), "spec.x: Required value"),
            (
                Error::required(&path, "name or generateName is required"),
                "spec.x: Required value: name or generateName is required",
            ),
            (
                Error::invalid(&path, -1, "must be greater than or equal to 0"),
                "spec.x: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                Error::invalid(&path, "a\"b", "no"),
                "spec.x: Invalid value: \"a\\\"b\": no",
            ),
            (
                Error::invalid(&path, json!({"a": ["b"]}), "field is immutable"),
                "spec.x: Invalid value: {\"a\":[\"b\"]}: field is immutable",
            ),
            (
                Error::invalid(
                    &path,
                    json!({"matchExpressions": [{"key": "k", "operator": "Exists"}], "matchLabels": {"a": "b"}}),
                    "field is immutable",
                ),
                "spec.x: Invalid value: {\"matchLabels\":{\"a\":\"b\"},\"matchExpressions\":[{\"key\":\"k\",\"operator\":\"Exists\"}]}: field is immutable",
            ),
            (
                Error::not_supported(&path, "ftp", &["SCTP", "TCP", "UDP"]),
                "spec.x: Unsupported value: \"ftp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ),
            (
                Error::duplicate(&path, "web"),
                "spec.x: Duplicate value: \"web\"",
            ),
            (Error::not_found(&path, "vol"), "spec.x: Not found: \"vol\""),
            (
                Error::forbidden(&path, "not allowed on this type"),
                "spec.x: Forbidden: not allowed on this type",
            ),
            (
                Error::too_long(&path, 262_144),
                "spec.x: Too long: may not be more than 262144 bytes",
            ),
            (
                Error::too_many(&path, 3, 1),
                "spec.x: Too many: 3: must have at most 1 item",
            ),
            (
                Error::internal(&path, "boom"),
                "spec.x: Internal error: boom",
            ),
            (
                Error::type_invalid(&path, true, "must be a string"),
                "spec.x: Invalid value: true: must be a string",
            ),
        ] {
            assert_eq!(error.to_string(), want);
        }
    }
}
