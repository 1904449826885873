//! What watchers received.

use serde::{Deserialize, Serialize};

use super::answer::KeyValue;
use super::blob::Blob;
use super::op::{is_empty, is_false, is_zero};

/// One received response of one watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRecord {
    /// Number of the watch, unique in the history: a watch opened again is a new one.
    pub watch: u64,
    pub client: u32,
    pub member: u32,
    /// Given with the first record of a watch, left out afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Box<WatchRequest>>,
    /// When the response had come.
    pub time: u64,
    pub header_revision: i64,
    pub news: WatchNews,
}

/// `end` is empty for one key and `"\0"` for everything from `key` on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchRequest {
    pub key: Blob,
    #[serde(skip_serializing_if = "is_empty")]
    pub end: Blob,
    /// 0 is from the creation on: the first event is that after the revision of the created response.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_revision: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub prev_kv: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub progress: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
}

/// Events a watcher does not want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    NoPut,
    NoDelete,
}

/// What a response was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchNews {
    Created,
    Events(Vec<Event>),
    /// All events up to the header's revision have been delivered.
    Progress,
    Canceled {
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
        /// Not 0 when the watch needed what had been compacted.
        #[serde(default, skip_serializing_if = "is_zero")]
        compact_revision: i64,
    },
}

/// `kv` of a deletion has only key and modification revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub kind: EventKind,
    pub kv: KeyValue,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_kv: Option<KeyValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Put,
    Delete,
}
