//! What the store returns.

use bytes::Bytes;
use mainstay_proto::mvccpb::KeyValue;

/// A key with its value. The bytes share the buffer of the answer they came in: who keeps them for long copies them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// Revision of the latest write of this key.
    pub revision: i64,
    /// Revision at which the key was created.
    pub created: i64,
    /// The lease that ends the key, 0 for none.
    pub lease: i64,
}

impl From<KeyValue> for Stored {
    fn from(kv: KeyValue) -> Self {
        Self {
            key: kv.key,
            value: kv.value,
            revision: kv.mod_revision,
            created: kv.create_revision,
            lease: kv.lease,
        }
    }
}

/// The answer to a read of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The key, if it exists.
    pub found: Option<Stored>,
    /// The store's revision at the time of the read.
    pub revision: i64,
}

/// The answer to a create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// Created at this revision.
    Done(i64),
    /// The key exists already.
    Exists(Stored),
}

/// The answer to a guarded update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// Written at this revision.
    Done(i64),
    /// The key is at another revision, or gone. Here is what it is now, so that the caller can try again at once.
    Conflict(Option<Stored>),
}

/// The answer to a guarded delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// Deleted at this revision.
    Done(i64),
    /// The key is at another revision, or gone. Here is what it is now.
    Conflict(Option<Stored>),
}
