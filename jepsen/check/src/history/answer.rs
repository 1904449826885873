//! What a member answered.

use serde::{Deserialize, Serialize};

use super::blob::Blob;
use super::op::{is_empty, is_false, is_zero};

/// An answer with the revision of its header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpResult {
    pub revision: i64,
    pub answer: Answer,
}

/// The body of an answer, by kind of operation. Steps of a transaction use the first four.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Range {
        #[serde(default)]
        kvs: Vec<KeyValue>,
        #[serde(default)]
        count: i64,
        #[serde(default, skip_serializing_if = "is_false")]
        more: bool,
    },
    Put {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prev_kv: Option<KeyValue>,
    },
    Delete {
        deleted: i64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        prev_kvs: Vec<KeyValue>,
    },
    Txn {
        succeeded: bool,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        responses: Vec<Answer>,
    },
    Compact,
    /// `ttl` in seconds.
    LeaseGrant {
        lease: i64,
        ttl: i64,
    },
    LeaseRevoke,
    /// `ttl` in seconds. A keepalive of a lease that is gone is recorded as `fail` with
    /// [`FailureKind::LeaseNotFound`] although etcd answers it with a TTL of 0.
    LeaseKeepAlive {
        ttl: i64,
    },
    /// `ttl` in seconds, -1 when there is no such lease.
    LeaseTtl {
        ttl: i64,
        #[serde(default)]
        granted_ttl: i64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        keys: Vec<Blob>,
    },
    HashKv {
        hash: u32,
        #[serde(default)]
        hash_revision: i64,
        #[serde(default)]
        compact_revision: i64,
    },
}

/// A pair with all that etcd says of it. `value` is empty for reads of keys only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    pub key: Blob,
    #[serde(skip_serializing_if = "is_empty")]
    pub value: Blob,
    pub create: i64,
    #[serde(rename = "mod")]
    pub modified: i64,
    pub version: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub lease: i64,
}

/// Why an operation did not succeed, or why its outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// The errors that promise something which can be checked; all else is [`FailureKind::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    Compacted,
    FutureRevision,
    LeaseNotFound,
    LeaseExists,
    NoSpace,
    Unavailable,
    Timeout,
    Other,
}

impl Failure {
    /// Tells the kind by etcd's wording.
    pub fn from_text(text: impl Into<String>) -> Self {
        let text = text.into();
        let kind = [
            ("has been compacted", FailureKind::Compacted),
            ("is a future revision", FailureKind::FutureRevision),
            ("requested lease not found", FailureKind::LeaseNotFound),
            ("lease already exists", FailureKind::LeaseExists),
            ("database space exceeded", FailureKind::NoSpace),
            ("timed out", FailureKind::Timeout),
            ("deadline", FailureKind::Timeout),
            ("unavailable", FailureKind::Unavailable),
        ]
        .into_iter()
        .find(|(part, _)| text.contains(part))
        .map_or(FailureKind::Other, |(_, kind)| kind);
        Self { kind, text }
    }
}
