//! The lines of a history.

use serde::{Deserialize, Serialize};

use super::answer::{Failure, OpResult};
use super::op::Op;
use super::run::RunInfo;
use super::watch::WatchRecord;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    Run(RunInfo),
    Operation(Operation),
    Watch(WatchRecord),
    Fault(Fault),
    Member(MemberFacts),
    Log(LogFinding),
}

/// An operation with when it was called, when it returned and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    pub client: u32,
    pub member: u32,
    /// Unique in the history.
    pub id: u64,
    pub op: Op,
    /// Nanoseconds since the start of the run, taken before the first byte was sent.
    pub call: u64,
    /// Taken after the answer had come. Must be present for [`Outcome::Ok`].
    #[serde(rename = "return", default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<u64>,
    pub outcome: Outcome,
    /// Present exactly for [`Outcome::Ok`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<OpResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// Certainly had no effect.
    Fail,
    /// May have happened, may happen later, may never happen.
    Unknown,
}

/// A disturbance the harness made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    #[serde(rename = "fault")]
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    pub start: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// What shows that it acted. Without proof it does not count as injected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// What one member held at the end, asked for at one revision on all members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberFacts {
    pub member: u32,
    pub revision: i64,
    pub hash: u32,
    pub compact_revision: i64,
}

/// A line of a member's log that should not be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFinding {
    pub member: u32,
    #[serde(default)]
    pub time: u64,
    pub level: LogLevel,
    pub text: String,
    /// The harness provoked it, for example an I/O error it had injected itself.
    #[serde(default, skip_serializing_if = "super::op::is_false")]
    pub expected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Warning,
    Error,
    Fatal,
    Panic,
}
