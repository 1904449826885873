//! What checkers say.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::limits::ANOMALIES_MAX;

/// The verdict over a history. Only [`Verdict::Valid`] is a pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Valid,
    Invalid { anomalies: Vec<Anomaly> },
    Unknown { why: Vec<String> },
}

/// A promise that was broken, with what proves it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Anomaly {
    pub kind: AnomalyKind,
    /// What was expected and what was seen.
    pub text: String,
    /// Ids of the operations that prove it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<u64>,
    /// Numbers of the watches that prove it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watches: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
}

impl Anomaly {
    pub(crate) fn new(kind: AnomalyKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            operations: Vec::new(),
            watches: Vec::new(),
            revision: None,
        }
    }

    pub(crate) fn op(mut self, id: u64) -> Self {
        self.operations.push(id);
        self
    }

    pub(crate) fn ops(mut self, ids: impl IntoIterator<Item = u64>) -> Self {
        self.operations.extend(ids);
        self
    }

    pub(crate) fn watch(mut self, id: u64) -> Self {
        self.watches.push(id);
        self
    }

    pub(crate) fn at(mut self, revision: i64) -> Self {
        self.revision = Some(revision);
        self
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)?;
        if let Some(revision) = self.revision {
            write!(f, " at revision {revision}")?;
        }
        write!(f, ": {}", self.text)?;
        if !self.operations.is_empty() {
            write!(f, " [operations {:?}]", self.operations)?;
        }
        if !self.watches.is_empty() {
            write!(f, " [watches {:?}]", self.watches)?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnomalyKind {
    // Order.
    DuplicateRevision,
    RevisionBack,
    StaleRead,
    FutureRead,
    PhantomRevision,
    PhantomWrite,
    AbortedWrite,
    // Contents.
    LostWrite,
    WrongValue,
    WrongVersion,
    WrongCreate,
    WrongMod,
    WrongLease,
    WrongCount,
    WrongMore,
    WrongLimit,
    WrongDeleted,
    MissingPrevKv,
    WrongPrevKv,
    WrongBranch,
    WrongAnswer,
    NoWrite,
    // Compaction.
    CompactedEarly,
    ReadBelowCompaction,
    WrongCompaction,
    WrongFutureError,
    // Watches.
    WatchFilter,
    WatchOrder,
    WatchDuplicate,
    WatchSplit,
    WatchBookmark,
    WatchResume,
    WatchCreate,
    WatchLost,
    WatchPrevKv,
    WatchWrong,
    WatchHeader,
    WatchCancel,
    WatchFuture,
    // Leases.
    LeaseEarly,
    LeaseResurrected,
    LeaseKeysSurvive,
    LeaseTorn,
    LeaseTtl,
    LeaseUnknown,
    // Second opinions.
    NotLinearizable,
    Cycle,
    SetLost,
    SetStale,
    SetDuplicate,
    SetPhantom,
    ListBroken,
    // Objects of the Kubernetes API.
    UnguardedUpdate,
    WrongUid,
    EpochBack,
    DoubleOwner,
    FailedAtEnd,
    // Members.
    ReplicasDiffer,
    LogFinding,
}

/// What one checker found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    pub checker: &'static str,
    /// The first [`ANOMALIES_MAX`] of them.
    pub anomalies: Vec<Anomaly>,
    pub anomaly_count: u64,
    /// Why the checker cannot say "valid", if so.
    pub unknown: Vec<String>,
    /// What was left out without harm to the verdict.
    pub notes: Vec<String>,
    pub figures: BTreeMap<&'static str, u64>,
}

impl Report {
    pub(crate) fn new(checker: &'static str) -> Self {
        Self {
            checker,
            ..Self::default()
        }
    }

    pub(crate) fn found(&mut self, anomaly: Anomaly) {
        self.anomaly_count += 1;
        if self.anomalies.len() < ANOMALIES_MAX {
            self.anomalies.push(anomaly);
        }
    }

    pub(crate) fn count(&mut self, what: &'static str, number: usize) {
        *self.figures.entry(what).or_default() += u64::try_from(number).unwrap_or(u64::MAX);
    }

    pub fn verdict(&self) -> Verdict {
        if !self.anomalies.is_empty() {
            Verdict::Invalid {
                anomalies: self.anomalies.clone(),
            }
        } else if !self.unknown.is_empty() {
            Verdict::Unknown {
                why: self.unknown.clone(),
            }
        } else {
            Verdict::Valid
        }
    }
}

/// What is wrong with the run rather than with the store. A run with any of these proves nothing, and
/// must not be blamed on the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HarnessFault {
    /// The history breaks the rules of recording.
    Malformed(String),
    /// A demanded operation or fault did not happen often enough.
    Insufficient(String),
}

/// Everything that is to be said about a history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// About the store only.
    pub verdict: Verdict,
    pub harness: Vec<HarnessFault>,
    pub reports: Vec<Report>,
}

impl Judgement {
    /// Valid, and the run did what it had to do.
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Valid && self.harness.is_empty()
    }
}
