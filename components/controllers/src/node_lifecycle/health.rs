//! When a node was last heard of, by this process' clock alone: clocks of nodes may be wrong.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use crate::nodes::{condition, ready_status};

/// Conditions that kubelets tell; the network's is told by others.
const TOLD_BY_KUBELETS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// How long nodes may be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// One that has told its status.
    pub(super) grace: Duration,
    /// One that never has.
    pub(super) startup: Duration,
}

/// The last signs of life of a node. What they say is not looked at, only whether they change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heard {
    uid: Option<String>,
    /// Whether its status was ever told, and when it says it was.
    status: Option<Option<Timestamp>>,
    renewed: Option<Timestamp>,
    at: Instant,
}

impl Heard {
    /// A node that was not known before counts as heard of now.
    pub(super) fn first(node: &Node, lease: Option<&Lease>, now: Instant) -> Self {
        Self {
            uid: node.metadata.uid.clone(),
            status: told(node),
            renewed: lease.and_then(renewed),
            at: now,
        }
    }

    /// Looks at the node and its lease again.
    pub(super) fn look(&mut self, node: &Node, lease: Option<&Lease>, now: Instant) {
        let mut seen = Self::first(node, lease, now);
        // A lease that is gone is no sign of life; neither is an older one.
        let newer = seen.renewed > self.renewed;
        seen.renewed = seen.renewed.max(self.renewed);
        if seen.uid == self.uid && seen.status == self.status && !newer {
            seen.at = self.at;
        }
        *self = seen;
    }

    /// What this controller has written itself is no sign of life.
    pub(super) fn wrote(&mut self, node: &Node) {
        self.status = told(node);
    }

    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }

    /// Counts anew from a moment on, which may be to come: nobody could have been heard before.
    pub(super) fn forgive(&mut self, from: Instant) {
        self.at = from;
    }
}

impl Patience {
    pub(super) fn with(&self, node: &Node) -> Duration {
        match ready_status(node) {
            Some(_) => self.grace,
            None => self.startup,
        }
    }
}

fn told(node: &Node) -> Option<Option<Timestamp>> {
    let ready = condition(node, "Ready")?;
    Some(ready.last_heartbeat_time.as_ref().map(|time| time.0))
}

fn renewed(lease: &Lease) -> Option<Timestamp> {
    let spec = lease.spec.as_ref()?;
    spec.renew_time.as_ref().map(|time| time.0)
}

/// The conditions of a silent node that are to change; none if it is known to be silent.
pub(super) fn unknown(node: &Node, now: Timestamp) -> Vec<NodeCondition> {
    if ready_status(node) == Some("Unknown") {
        return Vec::new();
    }
    let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let changed = TOLD_BY_KUBELETS.iter().filter_map(|name| {
        let Some(old) = condition(node, name) else {
            return Some(NodeCondition {
                type_: (*name).to_owned(),
                status: "Unknown".to_owned(),
                reason: Some("NodeStatusNeverUpdated".to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(now.clone()),
            });
        };
        (old.status != "Unknown").then(|| NodeCondition {
            status: "Unknown".to_owned(),
            reason: Some("NodeStatusUnknown".to_owned()),
            message: Some("Kubelet stopped posting node status.".to_owned()),
            last_transition_time: Some(now.clone()),
            ..old.clone()
        })
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const PATIENCE: Patience = Patience {
        grace: Duration::from_secs(50),
        startup: Duration::from_secs(60),
    };

    fn node(conditions: Value) -> Node {
        let node = json!({
            "metadata": {"name": "n", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"conditions": conditions},
        });
        serde_json::from_value(node).expect("a node")
    }

    fn ready(status: &str, second: u32) -> Node {
        node(
            json!([{"type": "Ready", "status": status, "reason": "r", "message": "m",
            "lastHeartbeatTime": format!("2026-01-01T00:00:{second:02}Z"),
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]),
        )
    }

    fn lease(second: u32) -> Lease {
        let time = format!("2026-01-01T00:00:{second:02}.000000Z");
        serde_json::from_value(json!({"metadata": {}, "spec": {"renewTime": time}}))
            .expect("a lease")
    }

    #[test]
    fn a_change_of_status_or_lease_is_a_sign_of_life_and_nothing_else_is() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut heard = Heard::first(&ready("True", 0), Some(&lease(5)), start);
        let cases = [
            ("nothing changes", ready("True", 0), Some(lease(5)), 10),
            ("the lease is gone", ready("True", 0), None, 20),
            ("an older lease", ready("True", 0), Some(lease(4)), 30),
            ("the same one is back", ready("True", 0), Some(lease(5)), 40),
            ("it is renewed", ready("True", 0), Some(lease(6)), 0),
            ("status is told again", ready("True", 1), Some(lease(6)), 0),
            (
                "even an older one: its clock was set",
                ready("True", 0),
                Some(lease(6)),
                0,
            ),
            (
                "nothing is told but the status changes",
                ready("False", 0),
                Some(lease(6)),
                10,
            ),
        ];
        for (number, (what, node, lease, silence)) in cases.into_iter().enumerate() {
            let now = at(10 * (number as u64 + 1));
            heard.look(&node, lease.as_ref(), now);
            assert_eq!(heard.silence(now).as_secs(), silence, "{what}");
        }
    }

    #[test]
    fn another_node_of_the_name_is_heard_of_for_the_first_time() {
        let start = Instant::now();
        let mut heard = Heard::first(&ready("True", 0), None, start);
        let mut other = ready("True", 0);
        other.metadata.uid = Some("v".to_owned());
        let now = start + Duration::from_secs(60);
        heard.look(&other, None, now);
        assert!(heard.silence(now).is_zero());
    }

    #[test]
    fn a_node_that_has_told_nothing_yet_has_more_time() {
        assert_eq!(PATIENCE.with(&node(json!([]))), PATIENCE.startup);
        assert_eq!(PATIENCE.with(&ready("False", 0)), PATIENCE.grace);
        let own = unknown(&node(json!([])), Timestamp::UNIX_EPOCH);
        let mut written = node(json!([]));
        let start = Instant::now();
        let mut heard = Heard::first(&written, None, start);
        written.status.as_mut().expect("it has one").conditions = Some(own);
        heard.wrote(&written);
        let now = start + Duration::from_secs(70);
        heard.look(&written, None, now);
        assert_eq!(
            heard.silence(now).as_secs(),
            70,
            "own writes are no sign of life"
        );
    }

    #[test]
    fn conditions_of_silent_nodes() {
        let now: Timestamp = "2026-01-01T00:05:00.7Z".parse().expect("a time");
        let mut told = ready("True", 7);
        let conditions = told.status.as_mut().and_then(|s| s.conditions.as_mut());
        let unreachable: NodeCondition = serde_json::from_value(
            json!({"type": "MemoryPressure", "status": "Unknown", "reason": "before"}),
        )
        .expect("a condition");
        conditions.expect("they are").push(unreachable);
        let changed = unknown(&told, now);
        let brief: Vec<_> = changed
            .iter()
            .map(|c| (c.type_.as_str(), c.reason.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(
            brief,
            [
                ("Ready", "NodeStatusUnknown"),
                ("DiskPressure", "NodeStatusNeverUpdated"),
                ("PIDPressure", "NodeStatusNeverUpdated"),
            ]
        );
        let time = |time: &Option<Time>| time.as_ref().map(|time| time.0.to_string());
        let heartbeat = time(&changed[0].last_heartbeat_time);
        assert_eq!(heartbeat.as_deref(), Some("2026-01-01T00:00:07Z"));
        let changes = time(&changed[0].last_transition_time);
        assert_eq!(changes.as_deref(), Some("2026-01-01T00:05:00Z"));
        assert!(unknown(&ready("Unknown", 0), now).is_empty());
    }
}
