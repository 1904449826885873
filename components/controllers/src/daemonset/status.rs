//! What the status of a daemon set says.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};

use super::place::Fit;
use super::plan::{ByNode, Rules, sort};
use crate::pods::is_ready;

/// Counts nodes, each by its oldest pod.
pub(super) fn status(
    set: &DaemonSet,
    rules: &Rules<'_>,
    fits: &BTreeMap<String, Fit>,
    pods: &ByNode,
    collisions: i32,
) -> DaemonSetStatus {
    let before = set.status.clone().unwrap_or_default();
    let mut status = DaemonSetStatus {
        observed_generation: set.metadata.generation,
        collision_count: (collisions != 0).then_some(collisions),
        conditions: before.conditions,
        ..DaemonSetStatus::default()
    };
    let (mut available, mut updated) = (0, 0);
    for (node, fit) in fits {
        let pods = pods.get(node);
        if *fit != Fit::Runs {
            status.number_misscheduled += i32::from(pods.is_some());
            continue;
        }
        status.desired_number_scheduled += 1;
        let Some(pods) = pods else { continue };
        status.current_number_scheduled += 1;
        let mut pods = pods.clone();
        sort(&mut pods);
        let Some(oldest) = pods.first() else { continue };
        status.number_ready += i32::from(is_ready(oldest));
        available += i32::from(rules.is_available(oldest));
        updated += i32::from(rules.is_new(oldest));
    }
    let unavailable = status.desired_number_scheduled - available;
    let count = |count: i32| (count != 0).then_some(count);
    status.number_available = count(available);
    status.number_unavailable = count(unavailable);
    status.updated_number_scheduled = count(updated);
    status
}

/// Whether two statuses say the same; what is not told is zero.
pub(super) fn same(a: &DaemonSetStatus, b: &DaemonSetStatus) -> bool {
    let counts = |s: &DaemonSetStatus| {
        let told = [
            s.number_available,
            s.number_unavailable,
            s.updated_number_scheduled,
            s.collision_count,
        ];
        let always = [
            s.current_number_scheduled,
            s.desired_number_scheduled,
            s.number_misscheduled,
            s.number_ready,
        ];
        (always, told.map(|count| count.unwrap_or(0)))
    };
    counts(a) == counts(b) && a.observed_generation == b.observed_generation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemonset::plan::by_node;
    use crate::daemonset::plan::tests::{pods, rules};
    use serde_json::json;

    #[test]
    fn nodes_are_counted_by_their_oldest_pods() {
        let set = json!({"metadata": {"generation": 2}, "spec": {"selector": {}, "template": {}}});
        let set = serde_json::from_value(set).expect("a daemon set");
        let fits: BTreeMap<_, _> = [
            ("n1", Fit::Runs),
            ("n2", Fit::Runs),
            ("n3", Fit::Runs),
            ("n4", Fit::Runs),
            ("s1", Fit::Stays),
            ("x1", Fit::None),
        ]
        .map(|(node, fit)| (node.to_owned(), fit))
        .into();
        let pods = by_node(&pods("n1B n2A n2Br n3Br s1B x1A"));
        let told = status(&set, &rules(false), &fits, &pods, 0);
        let expected = DaemonSetStatus {
            observed_generation: Some(2),
            desired_number_scheduled: 4,
            current_number_scheduled: 3,
            number_ready: 2,
            number_available: Some(2),
            number_unavailable: Some(2),
            updated_number_scheduled: Some(2),
            number_misscheduled: 2,
            ..DaemonSetStatus::default()
        };
        assert_eq!(told, expected);
        assert!(same(&told, &expected));
    }
}
