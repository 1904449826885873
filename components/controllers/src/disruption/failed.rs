//! Why a budget could not be worked out.

use mainstay_client::{is_conflict, is_gone};

use crate::pods::reason;

/// Its text is that of the condition `DisruptionAllowed` while it lasts.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("{}", reason(.0))]
    Server(#[from] kube::Error),
    #[error("{0}")]
    Selector(String),
    #[error("found no controllers for pod {0:?}")]
    NoController(String),
    #[error("no matches for kind {kind:?} in version {api_version:?}")]
    UnknownKind { api_version: String, kind: String },
    #[error("{0} does not implement the scale subresource")]
    NotScaled(String),
}

impl Failed {
    /// Somebody else has written the object meanwhile: it is looked at again, and says nothing about the budget.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Server(error) if is_conflict(error))
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Server(error) if is_gone(error))
    }
}
