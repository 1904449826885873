//! What can be wrong with a body.

use crate::wire::WireError;
use thiserror::Error;

/// Why a body could not be read or written. Messages are fit to be shown to the client.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    NoMagic,
    #[error("malformed protobuf: {0}")]
    Wire(String),
    #[error("no kind \"{kind}\" is registered for version \"{api_version}\"")]
    UnknownKind { api_version: String, kind: String },
    #[error("content encoding \"{0}\" is not supported")]
    ContentEncoding(String),
    /// A value that the field cannot hold.
    #[error("{field}: {reason}")]
    Value { field: String, reason: &'static str },
    #[error("messages are nested too deeply")]
    TooDeep,
}

impl Error {
    pub(crate) fn value(field: &str, reason: &'static str) -> Self {
        Error::Value {
            field: field.to_owned(),
            reason,
        }
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Error::Wire(error.to_string())
    }
}
