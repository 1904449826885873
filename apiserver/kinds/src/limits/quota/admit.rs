//! One request against all quotas of its namespace.

use super::charge::{charge, record};
use super::evaluator::concerns;
use super::required::required;
use super::scope::{matches, scopes_of};
use super::usage::usage;
use crate::limits::Change;
use mainstay_machinery::meta::{name, resource_version};
use serde_json::Value;
use std::fmt;

/// Why a request cannot be admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not fit: 403 `Forbidden` with this reason.
    Forbidden(String),
    /// A quota makes no sense: 500.
    Failed(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Refusal::Forbidden(text) | Refusal::Failed(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Refusal {}

/// Checks a request against the quotas of its namespace and returns those that have to be stored with a new
/// `status.used` before the object may be. A request that tries only (`dryRun`) stores none of them.
///
/// The object must be complete: defaults set, other admission done. After a conflict on some of the quotas
/// ask again with the new state of those alone. `now_millis` is since 1970.
///
/// # Errors
/// The first quota that refuses, in the order given, with upstream's text.
pub fn admit<'a>(
    change: &Change<'_>,
    quotas: impl IntoIterator<Item = &'a Value>,
    now_millis: i64,
) -> Result<Vec<Value>, Refusal> {
    if !concerns(change) {
        return Ok(Vec::new());
    }
    let mut interested = Vec::new();
    for quota in quotas {
        check_scopes(quota, change)?;
        if matches(quota, change.resource, change.new).map_err(Refusal::Failed)? {
            required(quota, change.resource, change.new).map_err(Refusal::Forbidden)?;
            interested.push(quota);
        }
    }
    if interested.is_empty() {
        return Ok(Vec::new());
    }
    let new = usage(change.resource, change.new, now_millis);
    let negative = new.iter().filter(|(_, amount)| amount.signum() < 0);
    let negative: Vec<_> = negative.map(|(name, _)| name.as_str()).collect();
    if !negative.is_empty() {
        let names = negative.join(",");
        return Err(Refusal::Forbidden(format!(
            "quota usage is negative for resource(s): {names}"
        )));
    }
    // An update that creates has nothing stored before it.
    let stored = change.old.filter(|old| !resource_version(old).is_empty());
    let old = stored.map(|old| usage(change.resource, old, now_millis));
    let mut charged = Vec::new();
    for quota in interested {
        let counted = match stored {
            Some(old) => matches(quota, change.resource, old).map_err(Refusal::Failed)?,
            None => false,
        };
        let old = old.as_ref().filter(|_| counted);
        charged.extend(if change.subresource == "status" {
            record(quota, &new, old)
        } else {
            charge(quota, &new, old).map_err(Refusal::Forbidden)?
        });
    }
    Ok(charged)
}

fn check_scopes(quota: &Value, change: &Change<'_>) -> Result<(), Refusal> {
    for scope in scopes_of(quota) {
        if let Err(error) = scope.holds(change.resource, change.new) {
            return Err(Refusal::Failed(format!(
                "error matching scopes of quota {}, err: error on matching scope {scope}: {error}",
                name(quota)
            )));
        }
    }
    Ok(())
}
