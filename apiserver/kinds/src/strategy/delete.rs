//! Defaults of deletion that depend on the kind.

use crate::kind::KindRef;
use crate::value::{number, text};
use serde_json::Value;

/// How long the object may take to go, in seconds: what was asked for, else what its kind says.
/// `None` for kinds that go at once whatever was asked.
#[must_use]
pub fn grace_period_seconds<'a>(
    kind: impl Into<KindRef<'a>>,
    object: &Value,
    requested: Option<i64>,
) -> Option<i64> {
    let kind = kind.into();
    if !kind.group.is_empty() || kind.kind != "Pod" {
        return None;
    }
    let own = number(object, "spec.terminationGracePeriodSeconds").unwrap_or(0);
    let running = !text(object, "spec.nodeName").is_empty()
        && !matches!(text(object, "status.phase"), "Failed" | "Succeeded");
    Some(match requested.unwrap_or(own) {
        _ if !running => 0,
        // A negative period means "as soon as possible, but let it end by itself".
        negative if negative < 0 => 1,
        seconds => seconds,
    })
}

/// Whether dependents are left behind when a deletion does not say what to do with them: so it was
/// before there was a choice, and stays, for jobs and replication controllers.
#[must_use]
pub fn orphans_dependents_by_default<'a>(kind: impl Into<KindRef<'a>>) -> bool {
    let kind = kind.into();
    matches!(
        (kind.group, kind.kind),
        ("batch", "Job") | ("", "ReplicationController")
    )
}
