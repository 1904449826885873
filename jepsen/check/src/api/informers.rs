//! What informers were told, against what happened.

use std::collections::BTreeMap;

use crate::verdict::{Anomaly, AnomalyKind, Report};

use super::history::{ApiHistory, Ask, Begin, Change, Informer, Item, News};
use super::lists::first_difference;
use super::moments::Moments;
use super::truth::{Sweep, Truth};

/// What a change is to a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Added,
    Modified,
    Deleted,
}

pub(super) fn check(history: &ApiHistory, truth: &Truth<'_>, moments: &Moments) -> Report {
    let mut report = Report::new("informers");
    let mut initial = Vec::new();
    for informer in &history.informers {
        report.count("watches", 1);
        report.count("events", informer.events.len());
        let begin = match informer.begin {
            Begin::After(revision) => Some((revision, 0)),
            Begin::State(_) => state_end(informer),
        };
        let Some((revision, from)) = begin else {
            report.count("watches that ended before their state did", 1);
            continue;
        };
        if let Begin::State(ask) = informer.begin {
            report.count("states", 1);
            initial.push((revision, from, informer));
            freshness(informer, ask, revision, moments, &mut report);
        }
        let mut follower = Follower::new(informer, truth, revision, &mut report);
        for event in &informer.events[from..] {
            follower.take(&event.news);
        }
    }
    states(initial, truth, &mut report);
    report
}

/// The revision of the bookmark that ends the state, and what follows it.
fn state_end(informer: &Informer) -> Option<(i64, usize)> {
    informer
        .events
        .iter()
        .enumerate()
        .find_map(|(at, event)| match event.news {
            News::Bookmark {
                revision,
                initial_end: true,
            } => Some((revision, at + 1)),
            _ => None,
        })
}

fn freshness(informer: &Informer, ask: Ask, revision: i64, moments: &Moments, report: &mut Report) {
    let low = match ask {
        Ask::Consistent => moments.floor(informer.call),
        Ask::NotOlder(version) | Ask::Exact(version) => version,
        Ask::Any => 0,
    };
    if revision < low {
        let text = format!("a watch begins with the state of {revision}, not of {low} or later");
        report.found(
            Anomaly::new(AnomalyKind::StaleRead, text)
                .watch(informer.id)
                .at(revision),
        );
    }
}

/// The states that watches began with.
fn states(mut initial: Vec<(i64, usize, &Informer)>, truth: &Truth<'_>, report: &mut Report) {
    initial.sort_by_key(|(revision, ..)| *revision);
    let mut sweep = Sweep::new(truth);
    for (revision, upto, informer) in initial {
        sweep.to(revision);
        let wanted: Vec<Item> = sweep
            .shown(&informer.selection)
            .map(|(key, version, state)| Item {
                key: key.to_owned(),
                version,
                digest: state.digest,
            })
            .collect();
        let mut got: BTreeMap<&str, &Item> = BTreeMap::new();
        for event in &informer.events[..upto] {
            match &event.news {
                News::Added(item) | News::Modified(item) => {
                    got.insert(&item.key, item);
                }
                News::Deleted(item) => {
                    got.remove(item.key.as_str());
                }
                News::Bookmark { .. } => {}
            }
        }
        let got: Vec<Item> = got.into_values().cloned().collect();
        if let Some(text) = first_difference(&wanted, &got) {
            let text = format!("{}: the state at {revision}: {text}", informer.name);
            let anomaly = Anomaly::new(AnomalyKind::ListBroken, text);
            report.found(anomaly.watch(informer.id).at(revision));
        }
    }
}

struct Follower<'a, 't> {
    informer: &'t Informer,
    truth: &'t Truth<'a>,
    coming: std::slice::Iter<'t, &'a Change>,
    /// The greatest revision of an event, or where the watch begins.
    last: i64,
    bookmark: i64,
    report: &'t mut Report,
}

impl<'a, 't> Follower<'a, 't> {
    fn new(
        informer: &'t Informer,
        truth: &'t Truth<'a>,
        revision: i64,
        report: &'t mut Report,
    ) -> Self {
        Self {
            informer,
            truth,
            coming: truth.since(revision).iter(),
            last: revision,
            bookmark: revision,
            report,
        }
    }

    fn take(&mut self, news: &News) {
        match news {
            News::Added(item) => self.event(Kind::Added, item),
            News::Modified(item) => self.event(Kind::Modified, item),
            News::Deleted(item) => self.event(Kind::Deleted, item),
            News::Bookmark { revision, .. } => self.bookmark(*revision),
        }
    }

    fn tell(&mut self, kind: AnomalyKind, revision: i64, text: String) {
        let text = format!("{}: {text}", self.informer.name);
        let anomaly = Anomaly::new(kind, text);
        self.report
            .found(anomaly.watch(self.informer.id).at(revision));
    }

    fn event(&mut self, kind: Kind, item: &Item) {
        let revision = item.version;
        if revision <= self.last {
            let text = format!("{} comes at {revision} after {}", item.key, self.last);
            let known = match revision == self.last {
                true => AnomalyKind::WatchDuplicate,
                false => AnomalyKind::WatchOrder,
            };
            self.tell(known, revision, text);
            return;
        }
        if revision <= self.bookmark {
            let text = format!(
                "{} comes at {revision} after the bookmark {}",
                item.key, self.bookmark
            );
            self.tell(AnomalyKind::WatchBookmark, revision, text);
        }
        self.skip(revision - 1);
        self.last = revision;
        let wanted = self.next_upto(revision);
        match wanted {
            Some((wanted, expected)) => {
                if (&wanted, &expected) != (&kind, item) {
                    let text = format!("{wanted:?} {expected:?} is told as {kind:?} {item:?}");
                    self.tell(AnomalyKind::WatchWrong, revision, text);
                }
            }
            None if self.truth.exactly(&item.key, revision).is_some() => {
                let text = format!("{} is not what is watched", item.key);
                self.tell(AnomalyKind::WatchFilter, revision, text);
            }
            None => {
                let text = format!("{} did not happen", item.key);
                self.tell(AnomalyKind::WatchWrong, revision, text);
            }
        }
    }

    fn bookmark(&mut self, revision: i64) {
        if revision < self.last || revision < self.bookmark {
            let text = format!(
                "a bookmark of {revision} after {} and the bookmark {}",
                self.last, self.bookmark
            );
            self.tell(AnomalyKind::WatchBookmark, revision, text);
        }
        self.skip(revision);
        self.bookmark = self.bookmark.max(revision);
    }

    /// Whatever is wanted up to a revision and has not come is lost.
    fn skip(&mut self, revision: i64) {
        while let Some((_, lost)) = self.next_upto(revision) {
            let text = format!("the event of {} never came", lost.key);
            self.tell(AnomalyKind::WatchLost, lost.version, text);
        }
    }

    /// The next change that the selection sees, if it is not behind this revision.
    fn next_upto(&mut self, revision: i64) -> Option<(Kind, Item)> {
        while let Some(change) = self.coming.as_slice().first()
            && change.revision <= revision
        {
            self.coming.next();
            if let Some(event) = self.as_event(change) {
                return Some(event);
            }
        }
        None
    }

    fn as_event(&self, change: &Change) -> Option<(Kind, Item)> {
        let selection = &self.informer.selection;
        if !change.key.starts_with(&selection.prefix) {
            return None;
        }
        let before = self
            .truth
            .state(&change.key, change.revision - 1)
            .map(|(_, state)| state)
            .filter(|state| selection.wants(&change.key, state));
        let after = change
            .after
            .as_ref()
            .filter(|state| selection.wants(&change.key, state));
        let (kind, shown) = match (before, after) {
            (None, None) => return None,
            (None, Some(after)) => (Kind::Added, after),
            (Some(_), Some(after)) => (Kind::Modified, after),
            // What is gone, or out of sight, is told as it was last.
            (Some(before), None) => (Kind::Deleted, before),
        };
        let item = Item {
            key: change.key.clone(),
            version: change.revision,
            digest: shown.digest,
        };
        Some((kind, item))
    }
}
