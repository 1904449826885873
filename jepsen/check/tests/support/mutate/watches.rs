//! Watches that lie.

use mainstay_check::AnomalyKind as Kind;
use mainstay_check::History;
use mainstay_check::history::{Event, EventKind, Filter, WatchNews, WatchRecord};
use rand::Rng;
use rand::rngs::StdRng;

use super::{Mutation, is_put, pick, revision};

pub fn all() -> Vec<Mutation> {
    let of = |name, spoil, found_as| Mutation {
        name,
        spoil,
        found_as,
    };
    vec![
        of("event lost", lost, &[Kind::WatchLost]),
        of("event doubled", doubled, &[Kind::WatchDuplicate]),
        of("events out of order", out_of_order, &[Kind::WatchOrder]),
        of("revision split", split, &[Kind::WatchSplit]),
        of(
            "event of another key",
            other_key,
            &[Kind::WatchFilter, Kind::WatchWrong],
        ),
        of("unwanted kind of event", unwanted, &[Kind::WatchFilter]),
        of(
            "event below a bookmark",
            below_bookmark,
            &[Kind::WatchBookmark],
        ),
        of(
            "bookmark ahead of events",
            bookmark_ahead,
            &[Kind::WatchLost],
        ),
        of("bookmark goes back", bookmark_back, &[Kind::WatchBookmark]),
        of(
            "wrong creation",
            |h, r| event(h, r, true, |e| e.kv.create = 1),
            &[Kind::WatchCreate],
        ),
        of(
            "wrong value of event",
            |h, r| event(h, r, false, |e| e.kv.value = "x".into()),
            &[Kind::WatchWrong],
        ),
        of(
            "wrong version of event",
            |h, r| event(h, r, false, |e| e.kv.version += 1),
            &[Kind::WatchWrong],
        ),
        of(
            "wrong kind of event",
            |h, r| event(h, r, false, |e| e.kind = EventKind::Delete),
            &[Kind::WatchWrong],
        ),
        of(
            "wrong previous pair of event",
            wrong_previous,
            &[Kind::WatchPrevKv],
        ),
        of("event before the start", before_start, &[Kind::WatchResume]),
        of(
            "header behind the event",
            header_behind,
            &[Kind::WatchHeader],
        ),
        of("canceled without need", canceled, &[Kind::WatchCancel]),
        of("event of the future", future, &[Kind::WatchFuture]),
    ]
}

fn events(record: &WatchRecord) -> &[Event] {
    match &record.news {
        WatchNews::Events(events) => events,
        _ => &[],
    }
}

fn events_mut(record: &mut WatchRecord) -> &mut Vec<Event> {
    match &mut record.news {
        WatchNews::Events(events) => events,
        other => panic!("no events: {other:?}"),
    }
}

/// Some later response of the same watch has events.
fn goes_on(history: &History, at: usize) -> bool {
    let watch = history.watches[at].watch;
    let mut later = history.watches[at + 1..].iter();
    later.any(|record| record.watch == watch && !events(record).is_empty())
}

/// A random response with events for which something holds.
fn response(
    history: &History,
    rng: &mut StdRng,
    wanted: impl Fn(usize, &WatchRecord) -> bool,
) -> Option<usize> {
    let places: Vec<usize> = (0..history.watches.len())
        .filter(|at| {
            let record = &history.watches[*at];
            !events(record).is_empty() && wanted(*at, record)
        })
        .collect();
    (!places.is_empty()).then(|| places[rng.random_range(0..places.len())])
}

fn lost(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = response(history, rng, |at, _| goes_on(history, at)) else {
        return false;
    };
    let events = events_mut(&mut history.watches[at]);
    let which = rng.random_range(0..events.len());
    events.remove(which);
    if events.is_empty() {
        history.watches.remove(at);
    }
    true
}

fn doubled(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = response(history, rng, |_, _| true) else {
        return false;
    };
    let events = events_mut(&mut history.watches[at]);
    let again = events[events.len() - 1].clone();
    events.push(again);
    true
}

fn out_of_order(history: &mut History, rng: &mut StdRng) -> bool {
    let rises = |record: &WatchRecord| {
        let events = events(record);
        events[0].kv.modified < events[events.len() - 1].kv.modified
    };
    let Some(at) = response(history, rng, |_, record| rises(record)) else {
        return false;
    };
    events_mut(&mut history.watches[at]).reverse();
    true
}

fn split(history: &mut History, rng: &mut StdRng) -> bool {
    let pair = |record: &WatchRecord| {
        let events = events(record);
        events
            .windows(2)
            .position(|pair| pair[0].kv.modified == pair[1].kv.modified)
    };
    let Some(at) = response(history, rng, |_, record| pair(record).is_some()) else {
        return false;
    };
    let place = pair(&history.watches[at]).unwrap();
    let mut second = history.watches[at].clone();
    second.request = None;
    events_mut(&mut second).drain(..=place);
    events_mut(&mut history.watches[at]).truncate(place + 1);
    history.watches.insert(at + 1, second);
    true
}

fn other_key(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = response(history, rng, |_, _| true) else {
        return false;
    };
    events_mut(&mut history.watches[at])[0].kv.key = "zzz".into();
    true
}

fn unwanted(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = response(history, rng, |_, _| true) else {
        return false;
    };
    let (watch, kind) = (
        history.watches[at].watch,
        events(&history.watches[at])[0].kind,
    );
    let first = history
        .watches
        .iter_mut()
        .find(|record| record.watch == watch);
    let request = first.and_then(|record| record.request.as_mut()).unwrap();
    request.filters.push(match kind {
        EventKind::Put => Filter::NoPut,
        EventKind::Delete => Filter::NoDelete,
    });
    true
}

fn insert_progress(history: &mut History, at: usize, revision: i64) {
    let mut progress = history.watches[at.min(history.watches.len() - 1)].clone();
    progress.news = WatchNews::Progress;
    progress.header_revision = revision;
    progress.request = None;
    history.watches.insert(at, progress);
}

fn below_bookmark(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = response(history, rng, |_, _| true) else {
        return false;
    };
    let revision = events(&history.watches[at])[0].kv.modified;
    insert_progress(history, at, revision);
    true
}

fn bookmark_ahead(history: &mut History, rng: &mut StdRng) -> bool {
    below_bookmark(history, rng)
}

fn bookmark_back(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = response(history, rng, |_, _| true) else {
        return false;
    };
    let watch = history.watches[at].clone();
    let mut progress = watch.clone();
    progress.news = WatchNews::Progress;
    progress.header_revision = events(&watch)[0].kv.modified - 1;
    progress.request = None;
    history.watches.insert(at + 1, progress);
    true
}

fn event(history: &mut History, rng: &mut StdRng, created: bool, change: fn(&mut Event)) -> bool {
    let fits = |event: &Event| {
        let creates = event.kv.create == event.kv.modified;
        event.kind == EventKind::Put && (creates || !created)
    };
    let Some(at) = response(history, rng, |_, record| events(record).iter().any(fits)) else {
        return false;
    };
    let events = events_mut(&mut history.watches[at]);
    change(events.iter_mut().find(|event| fits(event)).unwrap());
    true
}

fn wrong_previous(history: &mut History, rng: &mut StdRng) -> bool {
    let has = |event: &Event| event.prev_kv.is_some();
    let Some(at) = response(history, rng, |_, record| events(record).iter().any(has)) else {
        return false;
    };
    let events = events_mut(&mut history.watches[at]);
    let event = events.iter_mut().find(|event| has(event)).unwrap();
    event.prev_kv.as_mut().unwrap().version += 1;
    true
}

fn before_start(history: &mut History, rng: &mut StdRng) -> bool {
    let all = history.clone();
    let first = |at: usize| {
        let watch = all.watches[at].watch;
        !all.watches[..at]
            .iter()
            .any(|r| r.watch == watch && !events(r).is_empty())
    };
    let Some(at) = response(history, rng, |at, _| first(at)) else {
        return false;
    };
    let (watch, revision) = {
        let record = &history.watches[at];
        (record.watch, events(record)[0].kv.modified)
    };
    let created = history
        .watches
        .iter_mut()
        .find(|record| record.watch == watch);
    created
        .and_then(|record| record.request.as_mut())
        .unwrap()
        .start_revision = revision + 1;
    true
}

fn header_behind(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = response(history, rng, |_, _| true) else {
        return false;
    };
    let record = &mut history.watches[at];
    record.header_revision = events(record).iter().map(|e| e.kv.modified).max().unwrap() - 1;
    true
}

fn canceled(history: &mut History, rng: &mut StdRng) -> bool {
    let Some(at) = pick(&history.watches, rng, |record| !events(record).is_empty()) else {
        return false;
    };
    let mut cancel = history.watches[at].clone();
    // No later than what it has already got.
    let compact_revision = events(&cancel).iter().map(|e| e.kv.modified).max().unwrap();
    cancel.request = None;
    cancel.news = WatchNews::Canceled {
        reason: "compacted".into(),
        compact_revision,
    };
    history.watches.insert(at + 1, cancel);
    true
}

/// The event comes just before the write it tells of.
fn future(history: &mut History, rng: &mut StdRng) -> bool {
    let operations = history.operations.clone();
    let newest = |record: &WatchRecord| events(record).iter().map(|e| e.kv.modified).max();
    let author = |record: &WatchRecord| {
        let author = operations.iter().filter(|o| is_put(o));
        author
            .into_iter()
            .find(|o| Some(revision(o)) == newest(record))
    };
    let Some(at) = response(history, rng, |_, record| author(record).is_some()) else {
        return false;
    };
    let record = &mut history.watches[at];
    record.time = author(record).unwrap().call - 1;
    record.header_revision = newest(record).unwrap();
    true
}
