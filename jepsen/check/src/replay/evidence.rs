//! What answers and watches tell about revisions that nobody claims.

use std::collections::{HashMap, HashSet};

use super::index::Index;
use crate::history::{
    Answer, Blob, Event, EventKind, History, KeyValue, Op, WatchNews, WatchRequest,
};
use crate::model::{Change, Stored};

/// A pair as somebody saw it, or a deletion.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) key: Blob,
    pub(super) pair: Option<KeyValue>,
    /// Reads of keys only do not tell the value.
    pub(super) with_value: bool,
}

impl Fact {
    /// Key, kind and value agree.
    pub(super) fn fits(&self, change: &Change) -> bool {
        match (&self.pair, &change.after) {
            (None, None) => true,
            (Some(pair), Some(after)) => !self.with_value || pair.value == after.value,
            _ => false,
        }
    }

    /// All else agrees too.
    pub(super) fn fits_exactly(&self, change: &Change) -> bool {
        match (&self.pair, &change.after) {
            (Some(pair), Some(after)) => {
                let mut seen = Stored::from(pair);
                if !self.with_value {
                    seen.value = after.value.clone();
                }
                seen == *after
            }
            (pair, after) => pair.is_none() && after.is_none(),
        }
    }
}

/// Facts by revision, for revisions without a claim only.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    facts: HashMap<i64, Vec<Fact>>,
    /// Revisions told by a watch of everything: there is nothing more to them.
    whole: HashSet<i64>,
}

impl Evidence {
    pub(super) fn new(history: &History, index: &Index) -> Self {
        let mut evidence = Self::default();
        for operation in &history.operations {
            if let Some(result) = &operation.result {
                evidence.learn(&operation.op, &result.answer, index);
            }
        }
        let mut whole_watches = HashSet::new();
        for record in &history.watches {
            if record
                .request
                .as_ref()
                .is_some_and(|request| is_whole(request))
            {
                whole_watches.insert(record.watch);
            }
            let WatchNews::Events(events) = &record.news else {
                continue;
            };
            for event in events {
                if whole_watches.contains(&record.watch) {
                    evidence.whole.insert(event.kv.modified);
                }
                let fact = Fact {
                    key: event.kv.key.clone(),
                    pair: (event.kind == EventKind::Put).then(|| event.kv.clone()),
                    with_value: true,
                };
                evidence.add(event.kv.modified, fact, index);
                if let Some(previous) = &event.prev_kv {
                    evidence.saw(previous, true, index);
                }
            }
        }
        evidence
    }

    /// Whether the facts are all there is to the revision.
    pub(super) fn is_whole(&self, revision: i64) -> bool {
        self.whole.contains(&revision)
    }

    pub(super) fn of(&self, revision: i64) -> &[Fact] {
        self.facts.get(&revision).map_or(&[], Vec::as_slice)
    }

    fn learn(&mut self, op: &Op, answer: &Answer, index: &Index) {
        match (op, answer) {
            (Op::Range(range), Answer::Range { kvs, .. }) => {
                for kv in kvs {
                    self.saw(kv, !range.keys_only, index);
                }
            }
            (_, Answer::Put { prev_kv: Some(kv) }) => self.saw(kv, true, index),
            (_, Answer::Delete { prev_kvs, .. }) => {
                for kv in prev_kvs {
                    self.saw(kv, true, index);
                }
            }
            (
                Op::Txn(txn),
                Answer::Txn {
                    succeeded,
                    responses,
                },
            ) => {
                let steps = if *succeeded {
                    &txn.then
                } else {
                    &txn.otherwise
                };
                for (step, response) in steps.iter().zip(responses) {
                    self.learn(step, response, index);
                }
            }
            _ => {}
        }
    }

    fn saw(&mut self, kv: &KeyValue, with_value: bool, index: &Index) {
        let fact = Fact {
            key: kv.key.clone(),
            pair: Some(kv.clone()),
            with_value,
        };
        self.add(kv.modified, fact, index);
    }

    fn add(&mut self, revision: i64, fact: Fact, index: &Index) {
        if revision < 2 || revision > index.last || index.writer(revision).is_some() {
            return;
        }
        let facts = self.facts.entry(revision).or_default();
        let known = facts
            .iter_mut()
            .find(|old| old.key == fact.key && old.pair.is_some() == fact.pair.is_some());
        match known {
            Some(old) if fact.with_value && !old.with_value => *old = fact,
            Some(_) => {}
            None => facts.push(fact),
        }
    }
}

fn is_whole(request: &WatchRequest) -> bool {
    request.filters.is_empty()
        && request.key.len() <= 1
        && request.key.iter().all(|byte| *byte == 0)
        && *request.end == [0]
}

/// All that watches told of each revision, for choosing between authors.
#[derive(Debug, Default)]
pub(super) struct Sightings<'h> {
    events: HashMap<i64, Vec<&'h Event>>,
    /// How many pairs a revision changed, as told by a watch of everything.
    sizes: HashMap<i64, usize>,
}

impl<'h> Sightings<'h> {
    pub(super) fn new(history: &'h History) -> Self {
        let mut events: HashMap<i64, Vec<&Event>> = HashMap::new();
        let mut sizes = HashMap::new();
        let mut whole_watch = None;
        for record in &history.watches {
            if whole_watch.is_none() && record.request.as_ref().is_some_and(|r| is_whole(r)) {
                whole_watch = Some(record.watch);
            }
            if let WatchNews::Events(news) = &record.news {
                for event in news {
                    if whole_watch == Some(record.watch) {
                        *sizes.entry(event.kv.modified).or_default() += 1;
                    }
                    events.entry(event.kv.modified).or_default().push(event);
                }
            }
        }
        Self { events, sizes }
    }

    /// Whether some watch tells otherwise.
    pub(super) fn contradict(&self, revision: i64, changes: &[Change]) -> bool {
        if self
            .sizes
            .get(&revision)
            .is_some_and(|size| *size != changes.len())
        {
            return true;
        }
        let events = self.events.get(&revision).into_iter().flatten();
        events.into_iter().any(|event| {
            let Some(change) = changes.iter().find(|change| change.key == event.kv.key) else {
                return true;
            };
            let after = (event.kind == EventKind::Put).then(|| Stored::from(&event.kv));
            let before = event.prev_kv.as_ref().map(Stored::from);
            change.after != after || (before.is_some() && change.before != before)
        })
    }
}
