//! The history of the store as one member tells it, and the checks everything else is measured against.

use super::PREFIX;
use super::report::Report;
use super::writer::Outcomes;
use crate::limits::CONVERGE_DEADLINE;
use crate::raw::{Raw, prefix_end};
use crate::wait::wait_until;
use bytes::Bytes;
use mainstay_proto::etcdserverpb::{HashKvRequest, RangeRequest, WatchCreateRequest};
use mainstay_proto::mvccpb::event::EventType;
use mainstay_proto::mvccpb::{Event, KeyValue};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The content of one revision: its events in order, as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.add(EventType::Put, key, value);
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        self.add(EventType::Delete, key, b"");
    }

    fn add(&mut self, kind: EventType, key: &[u8], value: &[u8]) {
        let mut hasher = DefaultHasher::new();
        (self.0, kind, key, value).hash(&mut hasher);
        self.0 = hasher.finish();
    }
}

/// Revisions of a response in the order of its events. A revision whose events are not next to each other appears
/// twice, which its reader takes for what it is: a violation.
pub(super) fn digests(events: &[Event]) -> Vec<(i64, Digest)> {
    let mut revisions: Vec<(i64, Digest)> = Vec::new();
    for event in events {
        let kv = event.kv.as_ref().expect("every event has a key");
        if revisions
            .last()
            .is_none_or(|&(revision, _)| revision != kv.mod_revision)
        {
            revisions.push((kv.mod_revision, Digest::default()));
        }
        let (_, digest) = revisions.last_mut().expect("just pushed");
        digest.add(event.r#type(), &kv.key, &kv.value);
    }
    revisions
}

/// Verified history since the last check, and the state it leads to.
#[derive(Debug)]
pub(super) struct History {
    start: i64,
    revisions: Vec<Digest>,
    state: BTreeMap<Bytes, KeyValue>,
    unknown: HashMap<Digest, u32>,
}

impl History {
    /// A history whose first revision is the one after `start`, at which `c/start` was the only key.
    pub(super) fn starting_after(start: i64) -> Self {
        let kv = KeyValue {
            key: "c/start".into(),
            value: "0".into(),
            create_revision: start,
            mod_revision: start,
            version: 1,
            lease: 0,
        };
        let state = BTreeMap::from([(kv.key.clone(), kv)]);
        Self {
            start,
            revisions: Vec::new(),
            state,
            unknown: HashMap::new(),
        }
    }

    /// Last revision of the history.
    pub(super) fn end(&self) -> i64 {
        self.start + self.revisions.len() as i64
    }

    /// Reads the events up to `end` with a new watch. Only this test writes, so no revision may be missing.
    pub(super) async fn extend(&mut self, raw: &Raw, end: i64) {
        let mut stream = raw.watch_stream();
        let request = WatchCreateRequest {
            key: PREFIX.into(),
            range_end: prefix_end(PREFIX.as_bytes()),
            start_revision: self.end() + 1,
            ..Default::default()
        };
        stream.created(request).await;
        while self.end() < end {
            let response = stream
                .next()
                .await
                .expect("a healthy member serves its history");
            assert!(!response.canceled, "history cancelled: {response:?}");
            let upto = response.events.partition_point(|event| {
                event.kv.as_ref().is_some_and(|kv| kv.mod_revision <= end)
            });
            let events = &response.events[..upto];
            for (revision, digest) in digests(events) {
                assert_eq!(revision, self.end() + 1, "revisions go up by exactly one");
                self.revisions.push(digest);
            }
            for event in events {
                self.fold(event);
            }
        }
    }

    /// Every acknowledged write is at its revision, and everything else was at least attempted.
    pub(super) fn check_writes(&mut self, outcomes: &Outcomes, report: &mut Report) {
        let mut claimed = vec![false; self.revisions.len()];
        for &(revision, digest) in &outcomes.acknowledged {
            let index = usize::try_from(revision - self.start - 1)
                .unwrap_or_else(|_| panic!("acknowledged at the old revision {revision}"));
            let found = self.revisions.get(index);
            assert_eq!(
                found,
                Some(&digest),
                "acknowledged write at revision {revision} is lost"
            );
            assert!(
                !claimed[index],
                "revision {revision} acknowledged to two writers"
            );
            claimed[index] = true;
        }
        for digest in &outcomes.unknown {
            *self.unknown.entry(*digest).or_default() += 1;
        }
        for (index, _) in claimed.iter().enumerate().filter(|&(_, &claimed)| !claimed) {
            let left = self
                .unknown
                .get_mut(&self.revisions[index])
                .filter(|left| **left > 0);
            let revision = self.start + 1 + index as i64;
            *left
                .unwrap_or_else(|| panic!("nobody wrote revision {revision}, or it came twice")) -=
                1;
            report.unknown_applied += 1;
        }
        report.acknowledged += outcomes.acknowledged.len() as u64;
        report.unknown += outcomes.unknown.len() as u64;
    }

    /// A watcher saw exactly the history.
    pub(super) fn check_watcher(&self, watcher: usize, seen: &[(i64, Digest)]) {
        let expected = (self.start + 1..).zip(self.revisions.iter().copied());
        for ((revision, digest), &(seen_revision, seen_digest)) in expected.zip(seen) {
            assert_eq!(
                revision, seen_revision,
                "watcher {watcher} missed a revision"
            );
            assert_eq!(
                digest, seen_digest,
                "watcher {watcher} saw other events at {revision}"
            );
        }
        assert_eq!(
            seen.len(),
            self.revisions.len(),
            "watcher {watcher} saw another count"
        );
    }

    /// Every member holds the state the history leads to, and their hashes of it are equal.
    pub(super) async fn check_members(&self, raws: &[Raw]) {
        let revision = self.end();
        let mut hashes = Vec::new();
        for (member, raw) in raws.iter().enumerate() {
            let request = RangeRequest {
                key: PREFIX.into(),
                range_end: prefix_end(PREFIX.as_bytes()),
                revision,
                ..Default::default()
            };
            let response = raw.range(request).await.expect("a healthy member answers");
            let expected: Vec<&KeyValue> = self.state.values().collect();
            let held: Vec<&KeyValue> = response.kvs.iter().collect();
            assert_eq!(
                held, expected,
                "member {member} holds another state at {revision}"
            );
        }
        wait_until(
            "all members have compacted alike",
            CONVERGE_DEADLINE,
            async || {
                hashes.clear();
                for raw in raws {
                    hashes.push(raw.hash_kv(HashKvRequest { revision }).await.ok()?);
                }
                let mut compacted = hashes.iter().map(|hash| hash.compact_revision);
                let first = compacted.next();
                compacted.all(|other| Some(other) == first).then_some(())
            },
        )
        .await;
        let values: Vec<u32> = hashes.iter().map(|hash| hash.hash).collect();
        assert!(
            values.windows(2).all(|pair| pair[0] == pair[1]),
            "HashKV differs at {revision}: {values:?}"
        );
    }

    /// Drops the verified revisions; the state stays.
    pub(super) fn forget_verified(&mut self) {
        self.start = self.end();
        self.revisions.clear();
        self.unknown.retain(|_, left| *left > 0);
    }

    fn fold(&mut self, event: &Event) {
        let kv = event.kv.as_ref().expect("every event has a key");
        match event.r#type() {
            EventType::Put => {
                let old = self.state.get(&kv.key);
                let version = old.map_or(1, |old| old.version + 1);
                let created = old.map_or(kv.mod_revision, |old| old.create_revision);
                assert_eq!(
                    (kv.version, kv.create_revision),
                    (version, created),
                    "{kv:?}"
                );
                self.state.insert(kv.key.clone(), kv.clone());
            }
            EventType::Delete => {
                assert!(
                    self.state.remove(&kv.key).is_some(),
                    "delete of nothing: {kv:?}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, History, digests};
    use crate::crash::report::Report;
    use crate::crash::writer::Outcomes;
    use mainstay_proto::mvccpb::{Event, KeyValue};

    fn put(value: &str) -> Digest {
        let mut digest = Digest::default();
        digest.put(b"k", value.as_bytes());
        digest
    }

    fn history(values: &[&str]) -> History {
        let mut history = History::starting_after(10);
        history.revisions = values.iter().copied().map(put).collect();
        history
    }

    fn check(history: &mut History, acknowledged: &[(i64, &str)], unknown: &[&str]) -> Report {
        let outcomes = Outcomes {
            acknowledged: acknowledged
                .iter()
                .map(|&(at, value)| (at, put(value)))
                .collect(),
            unknown: unknown.iter().copied().map(put).collect(),
        };
        let mut report = Report::default();
        history.check_writes(&outcomes, &mut report);
        report
    }

    #[test]
    fn unknown_writes_may_be_there_or_not() {
        let report = check(&mut history(&["a", "b"]), &[(11, "a")], &["b", "c"]);
        assert_eq!(
            (report.acknowledged, report.unknown, report.unknown_applied),
            (1, 2, 1)
        );
    }

    #[test]
    #[should_panic(expected = "is lost")]
    fn a_lost_acknowledged_write_is_found() {
        check(&mut history(&["a"]), &[(11, "a"), (12, "b")], &[]);
    }

    #[test]
    #[should_panic(expected = "is lost")]
    fn an_acknowledged_write_at_another_revision_is_found() {
        check(&mut history(&["b", "a"]), &[(11, "a")], &["b", "a"]);
    }

    #[test]
    #[should_panic(expected = "or it came twice")]
    fn a_write_carried_out_twice_is_found() {
        check(&mut history(&["a", "b", "b"]), &[(11, "a")], &["b"]);
    }

    #[test]
    #[should_panic(expected = "two writers")]
    fn a_revision_given_twice_is_found() {
        check(&mut history(&["a"]), &[(11, "a"), (11, "a")], &[]);
    }

    #[test]
    #[should_panic(expected = "missed a revision")]
    fn a_gap_in_a_watch_is_found() {
        history(&["a", "b", "c"]).check_watcher(0, &[(11, put("a")), (13, put("c"))]);
    }

    #[test]
    #[should_panic(expected = "another count")]
    fn a_watch_that_ends_early_is_found() {
        history(&["a", "b"]).check_watcher(0, &[(11, put("a"))]);
    }

    #[test]
    fn interleaved_revisions_are_not_joined() {
        let event = |revision| Event {
            kv: Some(KeyValue {
                mod_revision: revision,
                ..Default::default()
            }),
            ..Default::default()
        };
        let revisions: Vec<i64> = digests(&[event(1), event(2), event(1)])
            .iter()
            .map(|&(revision, _)| revision)
            .collect();
        assert_eq!(revisions, [1, 2, 1]);
    }
}
