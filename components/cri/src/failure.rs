//! What can go wrong with a call.

use tonic::{Code, Status};

/// What a caller decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What was asked about is not there.
    NotFound,
    /// It is there already.
    Exists,
    /// The runtime does not have this method.
    Unimplemented,
    /// The runtime could not be asked; whether it did what was asked is unknown.
    Unavailable,
    /// No answer in time; whether it did what was asked is unknown.
    Timeout,
    /// The runtime has too much to do.
    Exhausted,
    /// The runtime tried and could not, or would not.
    Failed,
}

/// A call that failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct CriError {
    pub trouble: Trouble,
    /// The runtime's words.
    pub message: String,
}

impl CriError {
    /// An answer without what it must have.
    pub fn incomplete(what: &str) -> Self {
        Self {
            trouble: Trouble::Failed,
            message: format!("the runtime's answer has no {what}"),
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.trouble == Trouble::NotFound
    }
}

impl From<Status> for CriError {
    fn from(status: Status) -> Self {
        let trouble = match status.code() {
            Code::NotFound => Trouble::NotFound,
            Code::AlreadyExists => Trouble::Exists,
            Code::Unimplemented => Trouble::Unimplemented,
            Code::Unavailable | Code::Cancelled => Trouble::Unavailable,
            Code::DeadlineExceeded => Trouble::Timeout,
            Code::ResourceExhausted => Trouble::Exhausted,
            _ => Trouble::Failed,
        };
        let mut message = status.message().to_owned();
        if message.is_empty() {
            message = status.code().description().to_owned();
        }
        Self { trouble, message }
    }
}
