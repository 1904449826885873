//! Faults of etcd that are known, published and fixed in later releases than the control's.
//!
//! The control must come out clean where etcd is clean. Where it is not, an anomaly is set aside only if it has exactly the
//! shape of the published fault, and it is shown as such. Nothing is ever set aside for this project's own server.

use crate::nemesis::Nemesis;
use crate::plan::Plan;
use crate::subject::Kind;
use mainstay_check::history::{Fault, WatchNews};
use mainstay_check::{Anomaly, AnomalyKind, History, Judgement, Verdict};
use serde::{Deserialize, Serialize};

/// How long before the answer to a cancellation its effect may show, nanoseconds.
const CANCEL_NS_MAX: u64 = 1_000_000_000;
/// How long after a fault its effect may show, nanoseconds: longer than any lease of the workloads.
const AFTERMATH_NS: u64 = 10_000_000_000;
/// The longest time etcd can hold, in whole seconds.
const TOLD_FOREVER: &str = "told 9223372036 s left";
/// Names of the nemeses that hold up a process …
const PAUSES: &[&str] = &["pause-leader", "pause-minority"];
/// … and its disk.
const STALLS: &[&str] = &["slow-disk", "slow-disk-leader", "stall-disk-leader"];

/// Takes what is known out of a judgement, and returns it in words. If nothing else was found, the verdict is what it would
/// be without.
pub fn set_aside(judgement: &mut Judgement, subject: &Subjected, history: &History) -> Vec<String> {
    let Verdict::Invalid { anomalies } = &mut judgement.verdict else {
        return Vec::new();
    };
    let mut texts = Vec::new();
    anomalies.retain(|anomaly| match known(subject, anomaly, history) {
        Some(why) => {
            texts.push(format!("{why}: {anomaly}"));
            false
        }
        None => true,
    });
    let reports = &judgement.reports;
    let listed: u64 = reports
        .iter()
        .map(|report| report.anomalies.len() as u64)
        .sum();
    let found: u64 = reports.iter().map(|report| report.anomaly_count).sum();
    // More were found than are listed: nobody has looked at the rest.
    if anomalies.is_empty() && listed == found {
        let why: Vec<String> = reports
            .iter()
            .flat_map(|report| report.unknown.clone())
            .collect();
        judgement.verdict = if why.is_empty() {
            Verdict::Valid
        } else {
            Verdict::Unknown { why }
        };
    }
    texts
}

/// Says which published fault of the subject an anomaly is, if it is one.
fn known(plan: &Subjected, anomaly: &Anomaly, history: &History) -> Option<&'static str> {
    if !plan.control {
        return None;
    }
    if plan.before(3, 6) && anomaly.kind == AnomalyKind::WatchLost && starts_there(anomaly, history)
    {
        return Some(
            "etcd #19179: a watch that starts at the compacted revision misses the deletion made there",
        );
    }
    if anomaly.kind == AnomalyKind::WatchPrevKv
        && anomaly.text.ends_with("got None")
        && was_canceled(anomaly, history)
    {
        return Some(
            "etcd forgets that a watch wants previous pairs when its client cancels it, before the last events are sent",
        );
    }
    if plan.before(3, 6)
        && anomaly.kind == AnomalyKind::LeaseEarly
        && (plan.stalls && is_in_the_wake_of(STALLS, anomaly, history)
            || plan.pauses && is_in_the_wake_of(PAUSES, anomaly, history))
    {
        return Some(
            "etcd #12528, #15247: a leader that was held up ends leases that were kept alive elsewhere",
        );
    }
    if plan.before(3, 6)
        && anomaly.kind == AnomalyKind::LeaseTtl
        && anomaly.text.contains(TOLD_FOREVER)
    {
        return Some("etcd #17642: while the leader changes, a lease is told to last for ever");
    }
    let stale = matches!(
        anomaly.kind,
        AnomalyKind::StaleRead
            | AnomalyKind::NotLinearizable
            | AnomalyKind::SetStale
            | AnomalyKind::Cycle
    );
    if plan.before(3, 6) && stale && plan.pauses && is_in_the_wake_of(PAUSES, anomaly, history) {
        return Some("etcd #20418: a linearizable read may be stale after a pause");
    }
    None
}

/// The little that must be known of a run's subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subjected {
    /// Whether it is etcd.
    pub control: bool,
    /// Its release: major and minor.
    pub release: (u32, u32),
    /// Whether processes were paused.
    pub pauses: bool,
    /// Whether the leader's disk was slow or stood still.
    #[serde(default)]
    pub stalls: bool,
}

impl Subjected {
    /// Of a plan.
    pub fn of(plan: &Plan) -> Self {
        let pauses =
            |nemesis: &Nemesis| matches!(nemesis, Nemesis::PauseLeader | Nemesis::PauseMinority);
        let stalls = |nemesis: &Nemesis| {
            matches!(
                nemesis,
                Nemesis::SlowDisk | Nemesis::SlowDiskLeader | Nemesis::StallDiskLeader
            )
        };
        Self {
            control: plan.subject.kind == Kind::Etcd,
            release: (plan.subject.version.0, plan.subject.version.1),
            pauses: plan.nemeses.iter().any(pauses),
            stalls: plan.nemeses.iter().any(stalls),
        }
    }

    fn before(&self, major: u32, minor: u32) -> bool {
        self.release < (major, minor)
    }
}

/// Whether the lost event is at the very revision from which its watch was to start.
fn starts_there(anomaly: &Anomaly, history: &History) -> bool {
    !anomaly.watches.is_empty()
        && anomaly.watches.iter().all(|watch| {
            let mut requests = history
                .watches
                .iter()
                .filter(|record| record.watch == *watch);
            let request = requests.find_map(|record| record.request.as_ref());
            request.is_some_and(|request| Some(request.start_revision) == anomaly.revision)
        })
}

/// Whether an operation that proves the anomaly ran while one of these faults was at work, or shortly after.
fn is_in_the_wake_of(names: &[&str], anomaly: &Anomaly, history: &History) -> bool {
    let faults: Vec<_> = history
        .faults
        .iter()
        .filter(|fault| names.contains(&fault.name.as_str()))
        .collect();
    let operations = history.operations.iter();
    let mut proofs = operations.filter(|operation| anomaly.operations.contains(&operation.id));
    proofs.any(|proof| {
        let returned = proof.returned.unwrap_or(u64::MAX);
        let over = |fault: &Fault| fault.end.unwrap_or(u64::MAX).saturating_add(AFTERMATH_NS);
        faults.iter().any(|fault| {
            fault.start <= returned.saturating_add(AFTERMATH_NS) && proof.call <= over(fault)
        })
    })
}

/// Whether the client canceled the watch at about the time of the event.
fn was_canceled(anomaly: &Anomaly, history: &History) -> bool {
    !anomaly.watches.is_empty()
        && anomaly.watches.iter().all(|watch| {
            let records = history.watches.iter().filter(|record| record.watch == *watch);
            let (mut event, mut canceled) = (None, None);
            for record in records {
                match &record.news {
                    WatchNews::Events(events) if events.iter().any(|e| Some(e.kv.modified) == anomaly.revision) => {
                        event = Some(record.time);
                    }
                    WatchNews::Canceled { compact_revision: 0, .. } => canceled = Some(record.time),
                    _ => {}
                }
            }
            matches!((event, canceled), (Some(event), Some(canceled)) if canceled.saturating_sub(event) < CANCEL_NS_MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lease that is told to last for ever is etcd's fault before 3.6, and never this project's.
    #[test]
    fn only_the_old_control_may_tell_that_a_lease_lasts_for_ever() {
        let anomaly = |text: &str| Anomaly {
            kind: AnomalyKind::LeaseTtl,
            text: text.to_owned(),
            operations: Vec::new(),
            watches: Vec::new(),
            revision: None,
        };
        let forever = anomaly("lease 7 of 5 s: told 9223372036 s left of 5 s");
        let longer = anomaly("lease 7 of 5 s: told 6 s left of 5 s");
        let of = |control, release| Subjected {
            control,
            release,
            ..Subjected::default()
        };
        let history = History::default();
        let is_known = |subject: Subjected, anomaly| known(&subject, anomaly, &history).is_some();
        assert!(is_known(of(true, (3, 4)), &forever));
        assert!(!is_known(of(true, (3, 4)), &longer));
        assert!(!is_known(of(true, (3, 6)), &forever));
        assert!(!is_known(of(false, (3, 4)), &forever));
    }
}
