//! What a run was and what it had to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::blob::Blob;
use super::op::OpKind;

/// The first line of a history. The store is fresh: empty, at revision 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInfo {
    pub name: String,
    pub seed: u64,
    pub members: u32,
    /// Prefixes under which every key is one element of a set: added by a put, never changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<Blob>,
    /// Prefixes under which every value is a list of numbers with single spaces between, longer by its last
    /// element than the value before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<Blob>,
    /// Prefixes of keys that are never deleted and whose every written value is unique to the key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registers: Vec<Blob>,
    pub demand: Demand,
}

/// What must have happened for the run to mean anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Demand {
    /// Operations that succeeded, at least so many of each kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ops: BTreeMap<OpKind, u64>,
    /// Faults with proof, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, u64>,
    /// Watch events received in all.
    pub watch_events: u64,
    /// Members whose facts at the end are known.
    pub member_facts: u64,
}
