//! How far an update may go now.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::place::Fit;
use super::plan::{ByNode, Plan, Rules, goes};
use crate::shares::{Round, scaled};

/// Nodes that may lack an available pod, and nodes that may have two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) unavailable: usize,
    pub(super) surge: usize,
}

/// Whether pods of another template are replaced by the controller.
pub(super) fn is_rolling(set: &DaemonSet) -> bool {
    let strategy = set
        .spec
        .as_ref()
        .and_then(|spec| spec.update_strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete")
}

impl Bounds {
    /// For `wanted` nodes that shall have a pod.
    pub(super) fn of(set: &DaemonSet, wanted: usize) -> Self {
        let strategy = set
            .spec
            .as_ref()
            .and_then(|spec| spec.update_strategy.as_ref());
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let rolling = rolling.filter(|_| is_rolling(set));
        let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
        let number = |value: Option<&IntOrString>| {
            let number = value.map_or(0, |value| scaled(value, wanted, Round::Up));
            usize::try_from(number).unwrap_or(0)
        };
        let surge = number(rolling.and_then(|rolling| rolling.max_surge.as_ref()));
        let unavailable = number(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()));
        Self {
            // Neither would mean that nothing ever moves.
            unavailable: if surge == 0 {
                unavailable.max(usize::from(unavailable == 0))
            } else {
                unavailable
            },
            surge,
        }
    }
}

type Pair<'a> = (Option<&'a Arc<Pod>>, Option<&'a Arc<Pod>>);

/// The pod of the template of now and that of another one on a node; `None` if there are two of one sort, which are
/// not the update's to clean up.
fn pair<'a>(rules: &Rules<'_>, pods: &'a [Arc<Pod>]) -> Option<Pair<'a>> {
    let (mut new, mut old) = (None, None);
    for pod in pods.iter().filter(|pod| !goes(pod)) {
        let place = if rules.is_new(pod) {
            &mut new
        } else {
            &mut old
        };
        if place.replace(pod).is_some() {
            return None;
        }
    }
    Some((new, old))
}

/// Deletes old pods: those that serve nobody, and as many others as nodes may be without.
pub(super) fn replaced(rules: &Rules<'_>, bounds: Bounds, pods: &ByNode) -> Plan {
    let mut unavailable = 0;
    let (mut useless, mut serving) = (Vec::new(), Vec::new());
    for pods in pods.values() {
        match pair(rules, pods) {
            Some((None, Some(old))) if !rules.is_available(old) => useless.push(Arc::clone(old)),
            Some((None, Some(old))) => serving.push(Arc::clone(old)),
            Some((Some(new), None)) if rules.is_available(new) => {}
            // It waits for a pod, or is not as it should be, which others care for.
            _ => unavailable += 1,
        }
    }
    serving.truncate(bounds.unavailable.saturating_sub(unavailable));
    Plan {
        delete: useless.into_iter().chain(serving).collect(),
        ..Plan::default()
    }
}

/// Makes new pods beside old ones: where the old one serves nobody, and on as many other nodes as may have two; and
/// deletes old ones beside new ones that are available.
pub(super) fn surged(
    rules: &Rules<'_>,
    bounds: Bounds,
    fits: &BTreeMap<String, Fit>,
    pods: &ByNode,
) -> Plan {
    let mut surging = 0;
    let (mut useless, mut serving) = (Vec::new(), Vec::new());
    let mut plan = Plan::default();
    for (node, pods) in pods {
        let runs = fits.get(node) == Some(&Fit::Runs);
        match pair(rules, pods) {
            None => surging += 1,
            Some((None, Some(old))) if runs && !rules.is_available(old) => {
                useless.push(node.clone())
            }
            Some((None, Some(_))) if runs => serving.push(node.clone()),
            Some((Some(new), Some(old))) => match rules.is_available(new) {
                true => plan.delete.push(Arc::clone(old)),
                false => surging += 1,
            },
            Some(_) => {}
        }
    }
    serving.truncate(bounds.surge.saturating_sub(surging));
    plan.create = useless.into_iter().chain(serving).collect();
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemonset::plan::by_node;
    use crate::daemonset::plan::tests::{names, pods, rules};
    use serde_json::{Value, json};

    #[test]
    fn bounds_round_up_and_are_never_both_zero() {
        let rolling = |unavailable: Value, surge: Value| {
            json!({"type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}})
        };
        for (strategy, wanted, unavailable, surge) in [
            (rolling(json!(1), json!(0)), 5, 1, 0),
            (rolling(json!("25%"), json!(0)), 5, 2, 0),
            (rolling(json!(0), json!("10%")), 5, 0, 1),
            (rolling(json!(0), json!(0)), 5, 1, 0),
            (rolling(json!("10%"), json!(0)), 0, 1, 0),
        ] {
            let set = json!({"spec": {"selector": {}, "template": {}, "updateStrategy": strategy}});
            let set = serde_json::from_value(set).expect("a daemon set");
            assert_eq!(
                Bounds::of(&set, wanted),
                Bounds { unavailable, surge },
                "{strategy}"
            );
        }
    }

    #[test]
    fn old_pods_go_as_nodes_may_be_without_one() {
        for (what, unavailable, words, expected) in [
            ("the first", 1, "n1A n2A n3A", vec!["n1A"]),
            ("two", 2, "n1A n2A n3A", vec!["n1A", "n2A"]),
            ("a node is without", 1, "n1Ad n2A n3A", vec![]),
            ("a new one is not ready", 1, "n1Br n2A n3A", vec![]),
            ("a new one is ready", 1, "n1B n2A n3A", vec!["n2A"]),
            (
                "old ones that serve nobody go at once",
                1,
                "n1Ar n2A n3Ar",
                vec!["n1Ar", "n3Ar", "n2A"],
            ),
            (
                "a node with both is not counted on",
                1,
                "n1A n1B n2A",
                vec![],
            ),
        ] {
            let bounds = Bounds {
                unavailable,
                surge: 0,
            };
            let plan = replaced(&rules(false), bounds, &by_node(&pods(words)));
            assert_eq!(names(&plan.delete), expected, "{what}");
        }
    }

    #[test]
    fn new_pods_come_beside_old_ones_as_nodes_may_have_two() {
        let fits: BTreeMap<_, _> = [
            ("n1", Fit::Runs),
            ("n2", Fit::Runs),
            ("n3", Fit::Runs),
            ("s1", Fit::Stays),
        ]
        .map(|(node, fit)| (node.to_owned(), fit))
        .into();
        for (what, words, create, delete) in [
            ("the first", "n1A n2A n3A", vec!["n1"], vec![]),
            ("one surges", "n1A n1Br n2A n3A", vec![], vec![]),
            ("one is done", "n1A n1B n2A n3A", vec!["n2"], vec!["n1A"]),
            (
                "one serves nobody",
                "n1A n2A n3Ar",
                vec!["n3", "n1"],
                vec![],
            ),
            ("not where none may start", "s1A", vec![], vec![]),
        ] {
            let bounds = Bounds {
                unavailable: 0,
                surge: 1,
            };
            let plan = surged(&rules(true), bounds, &fits, &by_node(&pods(words)));
            assert_eq!(plan.create, create, "{what}");
            assert_eq!(names(&plan.delete), delete, "{what}");
        }
    }
}
