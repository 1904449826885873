//! What a client asked for.

use serde::{Deserialize, Serialize};

use super::blob::Blob;

/// One request. Field meanings are etcd's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Range(RangeOp),
    Put(PutOp),
    Delete(DeleteOp),
    Txn(TxnOp),
    Compact {
        revision: i64,
    },
    LeaseGrant(GrantOp),
    LeaseRevoke {
        lease: i64,
    },
    LeaseKeepAlive {
        lease: i64,
    },
    /// `keys`: the keys on the lease were asked for too.
    LeaseTtl {
        lease: i64,
        #[serde(default, skip_serializing_if = "is_false")]
        keys: bool,
    },
    /// `revision` 0 asks for the newest.
    HashKv {
        #[serde(default, skip_serializing_if = "is_zero")]
        revision: i64,
    },
}

/// Kinds of operations, for counting and demanding them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpKind {
    Range,
    Put,
    Delete,
    Txn,
    Compact,
    LeaseGrant,
    LeaseRevoke,
    LeaseKeepAlive,
    LeaseTtl,
    HashKv,
}

impl Op {
    pub fn kind(&self) -> OpKind {
        match self {
            Self::Range(_) => OpKind::Range,
            Self::Put(_) => OpKind::Put,
            Self::Delete(_) => OpKind::Delete,
            Self::Txn(_) => OpKind::Txn,
            Self::Compact { .. } => OpKind::Compact,
            Self::LeaseGrant(_) => OpKind::LeaseGrant,
            Self::LeaseRevoke { .. } => OpKind::LeaseRevoke,
            Self::LeaseKeepAlive { .. } => OpKind::LeaseKeepAlive,
            Self::LeaseTtl { .. } => OpKind::LeaseTtl,
            Self::HashKv { .. } => OpKind::HashKv,
        }
    }
}

/// `end` is empty for one key and `"\0"` for everything from `key` on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RangeOp {
    pub key: Blob,
    #[serde(skip_serializing_if = "is_empty")]
    pub end: Blob,
    /// Pairs at most; 0 is all.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: i64,
    /// 0 is now.
    #[serde(skip_serializing_if = "is_zero")]
    pub revision: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub serializable: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub keys_only: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub count_only: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PutOp {
    pub key: Blob,
    pub value: Blob,
    #[serde(skip_serializing_if = "is_zero")]
    pub lease: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub prev_kv: bool,
}

/// `end` as in [`RangeOp`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeleteOp {
    pub key: Blob,
    #[serde(skip_serializing_if = "is_empty")]
    pub end: Blob,
    #[serde(skip_serializing_if = "is_false")]
    pub prev_kv: bool,
}

/// Steps are [`Op::Range`], [`Op::Put`], [`Op::Delete`] or [`Op::Txn`]; others make a history unreadable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TxnOp {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compares: Vec<Compare>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Op>,
    #[serde(rename = "else", skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<Op>,
}

/// `end` as in [`RangeOp`]: every key of the range must compare so. A missing key compares as version,
/// creation, modification and lease 0, and never by value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    pub key: Blob,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub end: Blob,
    pub target: Target,
    pub cmp: Cmp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Version(i64),
    Create(i64),
    Mod(i64),
    Lease(i64),
    Value(Blob),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cmp {
    #[serde(rename = "=")]
    Equal,
    #[serde(rename = "!=")]
    NotEqual,
    #[serde(rename = "<")]
    Less,
    #[serde(rename = ">")]
    Greater,
}

/// `lease` 0 lets the server choose; `ttl` in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrantOp {
    #[serde(skip_serializing_if = "is_zero")]
    pub lease: i64,
    pub ttl: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this form"
)]
pub(super) fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this form"
)]
pub(crate) fn is_false(flag: &bool) -> bool {
    !*flag
}

pub(super) fn is_empty(blob: &Blob) -> bool {
    blob.is_empty()
}
