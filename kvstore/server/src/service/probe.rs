//! What the HTTP pages learn of the member.

use super::thread::Services;
use crate::grpc::Status;
use crate::http::Probe;
use crate::metrics;
use mainstay_proto::etcdserverpb::{AlarmType, RangeRequest};
use std::sync::atomic::Ordering::Relaxed;

impl Probe for Services {
    fn alarms(&self) -> Vec<&'static str> {
        let alarms = self.shared.node.alarms();
        let name = |kind| match kind {
            AlarmType::Nospace => "NOSPACE",
            AlarmType::Corrupt => "CORRUPT",
            AlarmType::None => "UNKNOWN",
        };
        alarms
            .iter()
            .map(|alarm| AlarmType::try_from(alarm.alarm).map_or("UNKNOWN", name))
            .collect()
    }

    fn has_leader(&self) -> bool {
        self.shared.node.leader().leader.is_some()
    }

    fn is_learner(&self) -> bool {
        self.shared.node.is_learner()
    }

    fn awaits_vote(&self) -> bool {
        self.shared.node.awaits_vote()
    }

    fn is_decided(&self) -> bool {
        self.shared.node.leader().term > 0
    }

    async fn read(&self, serializable: bool) -> Result<(), String> {
        let node = &self.shared.node;
        let text = |status: Status| status.message.into_owned();
        if !serializable {
            node.read_index()
                .await
                .map_err(|error| text(error.into()))?;
        }
        let request = RangeRequest {
            key: bytes::Bytes::from_static(b"\0"),
            keys_only: true,
            limit: 1,
            ..RangeRequest::default()
        };
        node.reader()
            .range(&request)
            .map(|_| ())
            .map_err(|error| text(error.into()))
    }

    fn metrics(&self) -> String {
        metrics::render(&self.shared)
    }

    fn health_checked(&self, healthy: bool) {
        let counters = &self.shared.counters;
        let counter = if healthy {
            &counters.health_success
        } else {
            &counters.health_failures
        };
        counter.fetch_add(1, Relaxed);
    }
}
