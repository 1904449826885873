//! A write on its way through admission.

use serde_json::Value;

use crate::attributes::forbidden_object;
use crate::user::UserInfo;

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is created.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// Something is connected to (exec, proxy, …).
    Connect,
}

impl Operation {
    /// As upstream writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// One write.
#[derive(Clone, Copy, Debug)]
pub struct Admission<'a> {
    /// Who writes.
    pub user: &'a UserInfo,
    /// What is done.
    pub operation: Operation,
    /// The API group; empty for core.
    pub group: &'a str,
    /// The plural resource.
    pub resource: &'a str,
    /// The subresource or empty.
    pub subresource: &'a str,
    /// The namespace or empty.
    pub namespace: &'a str,
    /// The name in the request's path; empty on create.
    pub name: &'a str,
    /// The object sent; null on delete.
    pub object: &'a Value,
    /// The stored object; null on create.
    pub old: &'a Value,
}

/// Why a write is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 403; the text is the detail, see [`Admission::message`].
    #[error("{0}")]
    Forbidden(String),
    /// 404 about another object that the write refers to.
    #[error("{resource} {name:?} not found")]
    NotFound {
        /// The plural resource.
        resource: &'static str,
        /// The name.
        name: String,
    },
    /// 500: what the caches show does not fit the request (yet); trying again may help.
    #[error("{0}")]
    Retry(String),
}

impl Admission<'_> {
    /// The name: the path's, or on create that of the object (or what it will begin with).
    pub fn object_name(&self) -> &str {
        let metadata = |key: &str| {
            let value = self
                .object
                .get("metadata")
                .and_then(|metadata| metadata.get(key));
            value
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        if self.name.is_empty() {
            metadata("name")
                .or_else(|| metadata("generateName"))
                .unwrap_or("Unknown")
        } else {
            self.name
        }
    }

    /// The message of the 403 Status for a detail.
    pub fn message(&self, detail: &str) -> String {
        forbidden_object(self.group, self.resource, self.object_name(), detail)
    }
}

/// A refusal with a 403.
pub(super) fn forbid<T>(detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Forbidden(detail.into()))
}

/// A string in an object, empty if it is not there.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
