//! When a pod is to go. Pure: time is passed in.
//!
//! Time runs from when this process saw the taint, or the pod on the tainted node, whichever came later: not from what
//! the taint says, whose writer may have another clock. So a controller that is replaced gives pods more time, never
//! less; upstream's does the same.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Taint, Toleration};
use tokio::time::Instant;

use crate::nodes::tolerates;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// The taints of a node that evict, and since when they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Tainted(Vec<(Taint, Instant)>);

impl Tainted {
    /// As it is after the node has these taints.
    pub(super) fn after(&self, taints: &[Taint], now: Instant) -> Self {
        let evicting = taints.iter().filter(|taint| taint.effect == "NoExecute");
        let known = evicting.map(|taint| {
            let old = self.0.iter().find(|(old, _)| is_same(old, taint));
            (taint.clone(), old.map_or(now, |(_, since)| *since))
        });
        Self(known.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When a pod goes that is known since `bound` to be on the node; `None` if it may stay. Of several tolerations
    /// that are meant for a taint the first counts.
    pub(super) fn due(&self, tolerations: &[Toleration], bound: Instant) -> Option<Instant> {
        let ends = self.0.iter().filter_map(|(taint, since)| {
            let mut meant = tolerations.iter().filter(|one| tolerates(one, taint));
            let tolerated = match meant.next() {
                None => Duration::ZERO,
                Some(one) => {
                    let seconds = one.toleration_seconds?;
                    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
                }
            };
            // Beyond what a clock can tell is never.
            (*since).max(bound).checked_add(tolerated)
        });
        ends.min()
    }
}

/// A node that is not ready and becomes unreachable, or the other way round, is in the same trouble as before: time
/// that begins anew each time would never end.
fn is_same(a: &Taint, b: &Taint) -> bool {
    let is_down = |taint: &Taint| taint.key == NOT_READY || taint.key == UNREACHABLE;
    (a.key == b.key && a.value == b.value) || (is_down(a) && is_down(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn taint(key: &str, effect: &str) -> Taint {
        serde_json::from_value(json!({"key": key, "effect": effect})).expect("a taint")
    }

    fn tolerations(value: Value) -> Vec<Toleration> {
        serde_json::from_value(value).expect("tolerations")
    }

    #[test]
    fn pods_go_when_they_tolerate_no_longer() {
        let start = Instant::now();
        let taints = [taint("a", "NoExecute"), taint("b", "NoSchedule")];
        let tainted = Tainted::default().after(&taints, start);
        let cases = [
            ("not tolerated", json!([]), Some(0)),
            (
                "for ever",
                json!([{"key": "a", "operator": "Exists"}]),
                None,
            ),
            ("everything", json!([{"operator": "Exists"}]), None),
            (
                "for a while",
                json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 30}]),
                Some(30),
            ),
            (
                "not at all",
                json!([{"key": "a", "operator": "Exists", "tolerationSeconds": -1}]),
                Some(0),
            ),
            (
                "the first counts",
                json!([
                    {"key": "a", "operator": "Exists", "tolerationSeconds": 30},
                    {"operator": "Exists", "tolerationSeconds": 10},
                ]),
                Some(30),
            ),
        ];
        for (what, value, expected) in cases {
            let due = tainted.due(&tolerations(value), start);
            let after = due.map(|due| (due - start).as_secs());
            assert_eq!(after, expected, "{what}");
        }
        let untainted = tainted.after(&[taint("b", "NoSchedule")], start);
        assert!(untainted.is_empty());
        assert_eq!(untainted.due(&[], start), None);
    }

    #[test]
    fn each_taint_has_a_time_of_its_own() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let patient = tolerations(json!([
            {"key": "a", "operator": "Exists", "tolerationSeconds": 300},
            {"key": "b", "operator": "Exists", "tolerationSeconds": 10},
        ]));
        let (a, b) = (taint("a", "NoExecute"), taint("b", "NoExecute"));
        let tainted = Tainted::default().after(std::slice::from_ref(&a), start);
        assert_eq!(tainted.due(&patient, start), Some(at(300)));
        assert_eq!(tainted.due(&patient, at(50)), Some(at(350)), "bound later");
        let tainted = tainted.after(&[a, b.clone()], at(100));
        assert_eq!(tainted.due(&patient, start), Some(at(110)));
        assert_eq!(
            tainted.after(&[b], at(105)).due(&patient, start),
            Some(at(110))
        );
    }

    #[test]
    fn a_node_that_goes_from_not_ready_to_unreachable_is_down_all_the_time() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let patient = tolerations(json!([{"operator": "Exists", "tolerationSeconds": 300}]));
        let mut tainted = Tainted::default();
        for (second, key) in [(0, NOT_READY), (100, UNREACHABLE), (200, NOT_READY)] {
            tainted = tainted.after(&[taint(key, "NoExecute")], at(second));
            assert_eq!(tainted.due(&patient, start), Some(at(300)));
        }
    }
}
