//! Why a patch cannot be applied.

use crate::gofmt::{display, type_name};
use crate::status::{GroupResource, Reason, StatusError};
use serde_json::{Map, Value};
use std::fmt;

/// Why a patch cannot be applied, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatchError {
    /// The patch itself is malformed: 400.
    Malformed(String),
    /// It has too many operations or would grow the object too much: 413.
    TooLarge(String),
    /// It does not fit the object: 422.
    Unprocessable(String),
    /// Strategic merge fails for a reason upstream answers as its own fault: 500.
    Internal(String),
}

impl PatchError {
    pub(super) fn no_merge_key(map: &Map<String, Value>, key: &str) -> PatchError {
        let map = display(&Value::Object(map.clone()));
        PatchError::Internal(format!(
            "map: {map} does not contain declared merge key: {key}"
        ))
    }

    pub(super) fn wrong_type(expected: &str, actual: &Value) -> PatchError {
        let actual = type_name(actual);
        PatchError::Internal(format!("expected a {expected}, but received a {actual}"))
    }

    pub(super) fn unknown_directive(directive: &Value, map: &Map<String, Value>) -> PatchError {
        let (directive, map) = (display(directive), display(&Value::Object(map.clone())));
        PatchError::Internal(format!("unknown patch type: {directive} in map: {map}"))
    }

    /// The answer to the request.
    pub fn into_status(self) -> StatusError {
        match self {
            PatchError::Malformed(message) => StatusError::bad_request(message),
            PatchError::TooLarge(message) => StatusError::request_entity_too_large(message),
            PatchError::Unprocessable(message) => {
                let nothing = GroupResource::default();
                let mut status = StatusError::from_http_code(422, "", nothing, "", &message, false);
                // Upstream's text says nothing of what is wrong; its cause does.
                status = status.with_cause(crate::status::Cause {
                    field: "patch".to_owned(),
                    message,
                    ..Default::default()
                });
                status
            }
            // Upstream passes the error on without a reason.
            PatchError::Internal(message) => StatusError::new(500, Reason::Unknown, message),
        }
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatchError::Malformed(m)
            | PatchError::TooLarge(m)
            | PatchError::Unprocessable(m)
            | PatchError::Internal(m) => f.write_str(m),
        }
    }
}

impl std::error::Error for PatchError {}
