//! What a deployment writes on its replica sets: revisions, and the sizes it had when it scaled them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use crate::limits::REVISION_HISTORY_MAX;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MOST: &str = "deployment.kubernetes.io/max-replicas";

/// What belongs to one of the two alone.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
];

pub(super) fn get<'a>(set: &'a ReplicaSet, name: &str) -> Option<&'a str> {
    set.metadata
        .annotations
        .as_ref()?
        .get(name)
        .map(String::as_str)
}

pub(super) fn number(set: &ReplicaSet, name: &str) -> Option<i32> {
    get(set, name)?.parse().ok()
}

pub(super) fn revision(set: &ReplicaSet) -> i64 {
    let revision = get(set, REVISION).and_then(|revision| revision.parse().ok());
    revision.unwrap_or(0)
}

/// The revision that the set of a new template gets.
pub(super) fn next_revision(old: &[Arc<ReplicaSet>]) -> i64 {
    let last = old.iter().map(|set| revision(set)).max().unwrap_or(0);
    last.saturating_add(1)
}

/// Gives the set of the deployment's template the deployment's annotations and at least this revision; whether
/// anything changed. A set that comes back from an older revision keeps that one in its history.
pub(super) fn annotate(deployment: &Deployment, set: &mut ReplicaSet, revision: i64) -> bool {
    let annotations = set.metadata.annotations.get_or_insert_default();
    let mut changed = copy(deployment.metadata.annotations.as_ref(), annotations);
    let old = annotations.get(REVISION).cloned();
    let old_number = match old.as_deref().unwrap_or_default() {
        "" => 0,
        text => match text.parse::<i64>() {
            Ok(number) => number,
            // Somebody else's; nothing can be said about it.
            Err(_) => return changed,
        },
    };
    if old_number < revision {
        annotations.insert(REVISION.to_owned(), revision.to_string());
        changed = true;
        if let Some(old) = old {
            remember(annotations, &old);
        }
    }
    changed
}

fn copy(from: Option<&BTreeMap<String, String>>, to: &mut BTreeMap<String, String>) -> bool {
    let mut changed = false;
    for (name, value) in from.into_iter().flatten() {
        if !NOT_COPIED.contains(&name.as_str()) && to.get(name) != Some(value) {
            to.insert(name.clone(), value.clone());
            changed = true;
        }
    }
    changed
}

/// Adds a revision to the history; the oldest ones make room.
fn remember(annotations: &mut BTreeMap<String, String>, revision: &str) {
    let history = annotations.get(HISTORY).cloned().unwrap_or_default();
    let mut revisions: Vec<&str> = history.split(',').filter(|r| !r.is_empty()).collect();
    revisions.push(revision);
    let mut kept = revisions.as_slice();
    let length = |revisions: &[&str]| revisions.iter().map(|r| r.len() + 1).sum::<usize>();
    while length(kept) > REVISION_HISTORY_MAX + 1 {
        kept = &kept[1..];
    }
    annotations.insert(HISTORY.to_owned(), kept.join(","));
}

/// Notes the deployment's size on a set; whether that changed anything.
pub(super) fn note_size(set: &mut ReplicaSet, desired: i32, most: i32) -> bool {
    let annotations = set.metadata.annotations.get_or_insert_default();
    let mut changed = false;
    for (name, number) in [(DESIRED, desired), (MOST, most)] {
        let number = number.to_string();
        if annotations.get(name) != Some(&number) {
            annotations.insert(name.to_owned(), number);
            changed = true;
        }
    }
    changed
}

/// The deployment shows the revision of its set; whether that is another one than before.
pub(super) fn show_revision(deployment: &mut Deployment, set: &ReplicaSet) -> bool {
    let Some(revision) = get(set, REVISION) else {
        return false;
    };
    let annotations = deployment.metadata.annotations.get_or_insert_default();
    if annotations.get(REVISION).map(String::as_str) == Some(revision) {
        return false;
    }
    annotations.insert(REVISION.to_owned(), revision.to_owned());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn set(annotations: &Value) -> ReplicaSet {
        let set = json!({"metadata": {"annotations": annotations}});
        serde_json::from_value(set).expect("a replica set")
    }

    fn deployment(annotations: &Value) -> Deployment {
        let deployment = json!({"metadata": {"annotations": annotations}});
        serde_json::from_value(deployment).expect("a deployment")
    }

    #[test]
    fn a_set_gets_the_deployments_annotations_and_a_revision() {
        let of = deployment(&json!({
            "kubernetes.io/change-cause": "new image",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "deployment.kubernetes.io/revision": "2",
        }));
        for (what, before, revision, changed, after) in [
            ("new", json!({}), 3, true, json!({REVISION: "3"})),
            (
                "as it was",
                json!({REVISION: "3", "kubernetes.io/change-cause": "new image"}),
                3,
                false,
                json!({REVISION: "3"}),
            ),
            (
                "newer than asked for",
                json!({REVISION: "5", "kubernetes.io/change-cause": "new image"}),
                3,
                false,
                json!({REVISION: "5"}),
            ),
            (
                "comes back",
                json!({REVISION: "1"}),
                3,
                true,
                json!({REVISION: "3", HISTORY: "1"}),
            ),
            (
                "comes back again",
                json!({REVISION: "3", HISTORY: "1"}),
                5,
                true,
                json!({REVISION: "5", HISTORY: "1,3"}),
            ),
            (
                "no number",
                json!({REVISION: "x", "kubernetes.io/change-cause": "new image"}),
                5,
                false,
                json!({REVISION: "x"}),
            ),
        ] {
            let mut set = set(&before);
            assert_eq!(annotate(&of, &mut set, revision), changed, "{what}");
            let mut expected = after;
            expected["kubernetes.io/change-cause"] = json!("new image");
            let annotations = json!(set.metadata.annotations);
            assert_eq!(annotations, expected, "{what}");
        }
    }

    #[test]
    fn a_history_that_is_too_long_loses_its_oldest_revisions() {
        let history: Vec<_> = (1000..1400).map(|r| r.to_string()).collect();
        let mut set = set(&json!({REVISION: "2000", HISTORY: history.join(",")}));
        annotate(&deployment(&json!({})), &mut set, 2001);
        let history = get(&set, HISTORY).expect("a history");
        assert!(history.len() <= REVISION_HISTORY_MAX);
        assert!(history.ends_with(",1399,2000"), "{history}");
    }

    #[test]
    fn sizes_and_revisions_are_noted_once() {
        let mut set = set(&json!({REVISION: "7"}));
        assert!(note_size(&mut set, 3, 4));
        assert!(!note_size(&mut set, 3, 4));
        assert_eq!(
            (number(&set, DESIRED), number(&set, MOST)),
            (Some(3), Some(4))
        );
        let mut deployment = deployment(&json!({}));
        assert!(show_revision(&mut deployment, &set));
        assert!(!show_revision(&mut deployment, &set));
        assert_eq!(next_revision(&[Arc::new(set)]), 8);
    }
}
