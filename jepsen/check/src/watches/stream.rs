//! One watch, response by response.

use std::collections::HashSet;

use crate::history::{
    Blob, Event, EventKind, Filter, KeyValue, WatchNews, WatchRecord, WatchRequest,
};
use crate::model::{Change, covers};
use crate::replay::{Compactions, Log};
use crate::verdict::{Anomaly, AnomalyKind};

pub(super) struct Stream<'a> {
    watch: u64,
    request: &'a WatchRequest,
    log: &'a Log,
    compactions: &'a Compactions,
    pub(super) anomalies: Vec<Anomaly>,
    /// The first revision it asked for; unknown until the created response for "from now".
    start: Option<i64>,
    /// Everything below has been compared with the log.
    next: i64,
    /// The newest revision of an event, and of a progress notification.
    last_event: i64,
    bookmark: i64,
    seen: HashSet<(i64, Blob)>,
    ended: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn new(
        watch: u64,
        request: &'a WatchRequest,
        log: &'a Log,
        compactions: &'a Compactions,
    ) -> Self {
        let start = (request.start_revision > 0).then_some(request.start_revision);
        Self {
            watch,
            request,
            log,
            compactions,
            anomalies: Vec::new(),
            start,
            next: start.unwrap_or(0),
            last_event: 0,
            bookmark: 0,
            seen: HashSet::new(),
            ended: false,
        }
    }

    fn tell(&mut self, kind: AnomalyKind, revision: i64, text: impl Into<String>) {
        self.anomalies
            .push(Anomaly::new(kind, text).watch(self.watch).at(revision));
    }

    pub(super) fn receive(&mut self, record: &WatchRecord) {
        if self.ended {
            self.tell(
                AnomalyKind::WatchWrong,
                record.header_revision,
                "a response after the end",
            );
        }
        match &record.news {
            WatchNews::Created => {
                if self.start.is_none() {
                    self.start = Some(record.header_revision + 1);
                    self.next = record.header_revision + 1;
                }
            }
            WatchNews::Events(events) => self.events(record, events),
            WatchNews::Progress => self.progress(record.header_revision),
            WatchNews::Canceled {
                compact_revision, ..
            } => self.canceled(record, *compact_revision),
        }
    }

    fn events(&mut self, record: &WatchRecord, events: &[Event]) {
        let before = self.last_event;
        for event in events {
            self.event(record, event, before);
        }
        let Some(newest) = events.iter().map(|event| event.kv.modified).max() else {
            return;
        };
        self.complete(newest);
    }

    fn event(&mut self, record: &WatchRecord, event: &Event, before: i64) {
        let kv = &event.kv;
        let revision = kv.modified;
        let unwanted = match event.kind {
            EventKind::Put => Filter::NoPut,
            EventKind::Delete => Filter::NoDelete,
        };
        if !covers(&self.request.key, &self.request.end, &kv.key)
            || self.request.filters.contains(&unwanted)
        {
            self.tell(
                AnomalyKind::WatchFilter,
                revision,
                format!("{kv:?} was not asked for"),
            );
        }
        if self.start.is_some_and(|start| revision < start) {
            self.tell(
                AnomalyKind::WatchResume,
                revision,
                "an event before the start",
            );
        }
        if revision < self.last_event {
            let text = format!("an event of {revision} after one of {}", self.last_event);
            self.tell(AnomalyKind::WatchOrder, revision, text);
        }
        if revision <= self.bookmark {
            let text = format!(
                "an event of {revision} after progress up to {}",
                self.bookmark
            );
            self.tell(AnomalyKind::WatchBookmark, revision, text);
        }
        if revision > record.header_revision {
            let text = format!("the header says {}", record.header_revision);
            self.tell(AnomalyKind::WatchHeader, revision, text);
        }
        let fresh = self.seen.insert((revision, kv.key.clone()));
        if !fresh {
            self.tell(
                AnomalyKind::WatchDuplicate,
                revision,
                format!("{:?} again", kv.key),
            );
        } else if revision == before {
            self.tell(
                AnomalyKind::WatchSplit,
                revision,
                "one revision in two responses",
            );
        }
        self.last_event = self.last_event.max(revision);
        self.contents(record, event);
    }

    fn contents(&mut self, record: &WatchRecord, event: &Event) {
        let kv = &event.kv;
        let revision = kv.modified;
        let log = self.log;
        let change = log
            .entry(revision)
            .and_then(|entry| entry.changes.iter().find(|change| change.key == kv.key));
        let Some(change) = change else {
            self.tell(
                AnomalyKind::WatchWrong,
                revision,
                format!("{kv:?} did not happen"),
            );
            return;
        };
        match (event.kind, change.pair_after()) {
            (EventKind::Put, Some(wanted)) => self.put(&wanted, kv),
            (EventKind::Delete, None) => {
                if kv.create != 0 || kv.version != 0 || !kv.value.is_empty() {
                    let text = format!("a deletion with contents: {kv:?}");
                    self.tell(AnomalyKind::WatchWrong, revision, text);
                }
            }
            (kind, _) => {
                let text = format!("{:?} is told as {kind:?}", kv.key);
                self.tell(AnomalyKind::WatchWrong, revision, text);
            }
        }
        self.previous(record, event, change);
    }

    fn put(&mut self, wanted: &KeyValue, kv: &KeyValue) {
        if wanted == kv {
            return;
        }
        let created = |kv: &KeyValue| kv.create == kv.modified;
        let kind = if created(wanted) == created(kv) {
            AnomalyKind::WatchWrong
        } else {
            AnomalyKind::WatchCreate
        };
        self.tell(
            kind,
            kv.modified,
            format!("expected {wanted:?}, got {kv:?}"),
        );
    }

    fn previous(&mut self, record: &WatchRecord, event: &Event, change: &Change) {
        let wanted = if self.request.prev_kv {
            change.pair_before()
        } else {
            None
        };
        if wanted == event.prev_kv {
            return;
        }
        let revision = event.kv.modified;
        // What was compacted cannot be told.
        let gone = self.compactions.possible(record.time) >= revision;
        if event.prev_kv.is_none() && gone {
            return;
        }
        let text = format!("previous pair {wanted:?}, got {:?}", event.prev_kv);
        self.tell(AnomalyKind::WatchPrevKv, revision, text);
    }

    /// Whatever the log has for this watch up to a revision must have come.
    fn complete(&mut self, revision: i64) {
        if self.start.is_none() {
            return;
        }
        let log = self.log;
        while self.next <= revision.min(log.last()) {
            let at = self.next;
            self.next += 1;
            let Some(entry) = log.entry(at) else { continue };
            for change in &entry.changes {
                if self.wants(change) && !self.seen.contains(&(at, change.key.clone())) {
                    let text = format!("the event of {:?} never came", change.key);
                    self.tell(AnomalyKind::WatchLost, at, text);
                }
            }
        }
        let next = self.next;
        if self.seen.len() > crate::limits::WATCH_MEMORY {
            self.seen
                .retain(|(at, _)| *at + crate::limits::WATCH_BACK >= next);
        }
    }

    fn wants(&self, change: &Change) -> bool {
        let unwanted = if change.after.is_some() {
            Filter::NoPut
        } else {
            Filter::NoDelete
        };
        covers(&self.request.key, &self.request.end, &change.key)
            && !self.request.filters.contains(&unwanted)
    }

    fn progress(&mut self, revision: i64) {
        if revision < self.bookmark || revision < self.last_event {
            let text = format!(
                "progress {revision} after progress {} and an event of {}",
                self.bookmark, self.last_event
            );
            self.tell(AnomalyKind::WatchBookmark, revision, text);
        }
        self.bookmark = self.bookmark.max(revision);
        self.complete(revision);
    }

    fn canceled(&mut self, record: &WatchRecord, compacted: i64) {
        self.ended = true;
        if compacted == 0 {
            return;
        }
        let possible = self.compactions.possible(record.time);
        if compacted > possible {
            let text = format!("canceled for compaction at {compacted}, at most {possible} can be");
            self.tell(AnomalyKind::WatchCancel, compacted, text);
        }
        if self.start.is_some() && self.next >= compacted {
            let text =
                format!("canceled for compaction at {compacted} although it needs nothing older");
            self.tell(AnomalyKind::WatchCancel, compacted, text);
        }
    }
}
