//! What clients of the API recorded.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::history::{BadLine, Fault, LogFinding, Outcome, read_lines};
use crate::limits::WRITE_BUFFER_BYTES;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiRecord {
    Run(ApiRun),
    Call(Call),
    Listed(Listed),
    Informer(Informer),
    Change(Change),
    Final(Final),
    Fault(Fault),
    Log(LogFinding),
}

/// The first line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiRun {
    pub name: String,
    pub seed: u64,
    pub servers: u32,
    pub members: u32,
    /// Faults with proof that the run must have had, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, u64>,
    /// Verbs that must have succeeded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub verbs: BTreeMap<Verb, u64>,
    /// Events that informers must have received.
    pub events: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    Create,
    Update,
    Patch,
    /// An update of the status alone.
    Status,
    Delete,
    Get,
    List,
}

/// How current a read has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// No resource version is named.
    #[default]
    Consistent,
    /// Version 0.
    Any,
    NotOlder(i64),
    Exact(i64),
}

/// An object as a client was shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub version: i64,
    pub uid: String,
    /// Of the object without its version.
    pub digest: u64,
}

/// One request about one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Unique in the history.
    pub id: u64,
    pub client: u32,
    pub server: u32,
    /// Unique for each connection.
    pub conn: u64,
    pub verb: Verb,
    /// As in the store, below the prefix. Empty if the server chose the name and nobody knows it.
    pub key: String,
    #[serde(default)]
    pub ask: Ask,
    /// The version that must be the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<i64>,
    /// The uid that must be the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Unique in the history, and in the object if the write happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Nanoseconds since the start of the run.
    pub call: u64,
    #[serde(rename = "return", default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<u64>,
    pub outcome: Outcome,
    /// 0 without an answer.
    #[serde(default)]
    pub status: u16,
    /// Whatever there is to say about a failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// The failure shows that the server never worked on the request.
    #[serde(default, skip_serializing_if = "crate::history::is_false")]
    pub unsent: bool,
    /// The object in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// What is asked of a list or a watch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// What all keys begin with, with the namespace if one is asked for.
    pub prefix: String,
    /// Label, and whether it must be one of these or none of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<(String, bool, Vec<String>)>,
    /// Field, whether equal or not, value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, bool, String)>,
}

/// A list, all its pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub id: u64,
    pub client: u32,
    pub server: u32,
    pub conn: u64,
    pub selection: Selection,
    pub ask: Ask,
    pub call: u64,
    /// Of the first page: later pages are older than their answers.
    #[serde(rename = "return")]
    pub returned: u64,
    pub pages: u32,
    /// Whether the last page was read.
    pub complete: bool,
    /// Whether a later page named another revision than the first.
    #[serde(default, skip_serializing_if = "crate::history::is_false")]
    pub torn: bool,
    pub revision: i64,
    /// What the first page says follows, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// Objects on the first page.
    pub first: u64,
    pub items: Vec<Item>,
}

/// An object of a list or an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    #[serde(rename = "k")]
    pub key: String,
    #[serde(rename = "v")]
    pub version: i64,
    #[serde(rename = "d")]
    pub digest: u64,
}

/// One watch from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Informer {
    pub id: u64,
    /// Who watches, over many of these.
    pub name: String,
    pub server: u32,
    pub conn: u64,
    pub selection: Selection,
    pub begin: Begin,
    pub call: u64,
    pub events: Vec<InformerEvent>,
    /// How it ended.
    pub end: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Begin {
    /// After a revision: that of a list, or the last of an earlier watch.
    After(i64),
    /// With the state first, as current as this.
    State(Ask),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InformerEvent {
    #[serde(rename = "t")]
    pub time: u64,
    #[serde(rename = "n")]
    pub news: News,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    Added(Item),
    Modified(Item),
    Deleted(Item),
    Bookmark {
        revision: i64,
        /// It ends the state that the watch began with.
        initial_end: bool,
    },
}

/// What happened in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub revision: i64,
    /// Below the prefix.
    pub key: String,
    /// `None` for a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<State>,
}

/// What checkers know of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    pub uid: String,
    pub digest: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// It has a deletion timestamp.
    #[serde(skip_serializing_if = "crate::history::is_false")]
    pub deleting: bool,
}

/// Everything below the prefix, read at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Final {
    pub revision: i64,
    /// Keys and versions.
    pub objects: Vec<(String, i64)>,
}

/// A whole history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiHistory {
    pub run: ApiRun,
    pub calls: Vec<Call>,
    pub lists: Vec<Listed>,
    pub informers: Vec<Informer>,
    pub changes: Vec<Change>,
    pub last: Option<Final>,
    pub faults: Vec<Fault>,
    pub logs: Vec<LogFinding>,
}

impl ApiHistory {
    pub fn push(&mut self, record: ApiRecord) {
        match record {
            ApiRecord::Run(run) => self.run = run,
            ApiRecord::Call(call) => self.calls.push(call),
            ApiRecord::Listed(list) => self.lists.push(list),
            ApiRecord::Informer(informer) => self.informers.push(informer),
            ApiRecord::Change(change) => self.changes.push(change),
            ApiRecord::Final(last) => self.last = Some(last),
            ApiRecord::Fault(fault) => self.faults.push(fault),
            ApiRecord::Log(finding) => self.logs.push(finding),
        }
    }
}

/// What a file held.
#[derive(Debug, Clone, Default)]
pub struct ApiReading {
    pub history: ApiHistory,
    pub bad: Vec<BadLine>,
}

/// Reads to the end; lines that are no records are reported, not fatal.
pub fn read_api_file(path: &Path) -> io::Result<ApiReading> {
    let from = BufReader::with_capacity(WRITE_BUFFER_BYTES, File::open(path)?);
    let mut history = ApiHistory::default();
    let (bad, _) = read_lines(from, |record| history.push(record))?;
    Ok(ApiReading { history, bad })
}

impl Selection {
    /// Whether an object is wanted.
    pub fn wants(&self, key: &str, state: &State) -> bool {
        let label = |(name, among, values): &(String, bool, Vec<String>)| {
            let found = state
                .labels
                .get(name)
                .is_some_and(|value| values.contains(value));
            found == *among
        };
        let field = |(name, equal, value): &(String, bool, String)| {
            let found = state.fields.get(name).map_or("", String::as_str);
            (found == value) == *equal
        };
        key.starts_with(&self.prefix)
            && self.labels.iter().all(label)
            && self.fields.iter().all(field)
    }

    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}
