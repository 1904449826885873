//! Counting what is used from the objects there are.

use super::Usage;
use super::charge::{to_json, zero};
use super::evaluator::measured_names;
use super::scope::in_all_scopes;
use super::usage::usage;
use crate::quantities::{add, amounts};
use crate::value::{has, set};
use mainstay_schema::Resource;
use serde_json::{Map, Value};

/// A recount of one quota. Tell it each of the [`tracked_resources`](super::tracked_resources) that could be
/// listed, and every object of the namespace there is; names no listed resource is measured by keep their
/// last known usage.
#[derive(Debug)]
pub struct Recount<'q> {
    quota: &'q Value,
    now_millis: i64,
    used: Usage,
}

impl<'q> Recount<'q> {
    /// Begins with nothing counted. `now_millis` is since 1970.
    #[must_use]
    pub fn new(quota: &'q Value, now_millis: i64) -> Self {
        Self {
            quota,
            now_millis,
            used: Usage::new(),
        }
    }

    /// All objects of a resource follow, maybe none.
    pub fn listed(&mut self, resource: &Resource) {
        for name in measured_names(self.quota, "spec.hard", resource) {
            self.used.entry(name).or_insert_with(zero);
        }
    }

    /// Counts one object of a listed resource. Scopes that make no sense hold for nothing.
    pub fn count(&mut self, resource: &Resource, object: &Value) {
        if in_all_scopes(self.quota, resource, object) == Ok(true) {
            let mut counted = usage(resource, object, self.now_millis);
            counted.retain(|name, _| self.used.contains_key(name));
            add(&mut self.used, &counted);
        }
    }

    /// The quota with its new status, unless it has that already.
    #[must_use]
    pub fn finish(self) -> Option<Value> {
        let hard = amounts(self.quota, "spec.hard");
        let known = amounts(self.quota, "status.used");
        let mut used = known.clone();
        used.extend(self.used);
        used.retain(|name, _| hard.contains_key(name));
        let complete = has(self.quota, "status.hard") && has(self.quota, "status.used");
        if complete && hard == amounts(self.quota, "status.hard") && used == known {
            return None;
        }
        let mut status = Map::new();
        status.insert("hard".to_owned(), to_json(&hard).into());
        status.insert("used".to_owned(), to_json(&used).into());
        let mut counted = self.quota.clone();
        set(&mut counted, "status", status);
        Some(counted)
    }
}
