//! Ring, groups and snapshot together, without a store: every watcher's reconstruction equals the list.

use super::core::{Change, Content, Core, Joined};
use super::event::{Event, EventKind};
use super::list::CacheError;
use super::object::{Attributes, Object};
use super::ring::RingLimits;
use super::scope::Scope;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

const PREFIX: &str = "/registry/pods/";

fn key(name: &str) -> Bytes {
    format!("{PREFIX}{name}").into()
}

fn object(name: &str, revision: i64, node: &str) -> Content {
    Content::Object(Arc::new(Object {
        key: key(name),
        revision,
        value: format!("{name} at {revision}").into(),
        attributes: Attributes::new([("", ""); 0], [("", ""); 0], Some(node)),
    }))
}

fn change(name: &str, revision: i64, to: Content) -> Change {
    Change {
        key: key(name),
        revision,
        to,
    }
}

fn put(name: &str, revision: i64, node: &str) -> Change {
    change(name, revision, object(name, revision, node))
}

fn delete(name: &str, revision: i64) -> Change {
    change(name, revision, Content::Nothing)
}

fn core(events_max: usize) -> Core {
    let limits = RingLimits {
        events_max,
        ..RingLimits::default()
    };
    Core::new(PREFIX.into(), limits)
}

type State = BTreeMap<Bytes, i64>;

/// A watcher without a task.
struct Reader {
    joined: Joined,
    state: State,
    steps: usize,
}

impl Reader {
    fn join(core: &mut Core, scope: &Scope, after: Option<(i64, State)>) -> Self {
        let joined = core.join(scope, after.as_ref().map(|(at, _)| *at)).unwrap();
        let state = match after {
            Some((_, state)) => state,
            None => list(core, scope),
        };
        Self {
            joined,
            state,
            steps: 0,
        }
    }

    fn read(&mut self, published: i64) -> Result<usize, CacheError> {
        let mut count = 0;
        loop {
            let events = self.joined.group.take(&mut self.joined.cursor, published)?;
            if events.is_empty() {
                return Ok(count);
            }
            count += events.len();
            events.iter().for_each(|event| self.apply(event));
        }
    }

    fn apply(&mut self, event: &Arc<Event>) {
        self.steps += 1;
        let scope = &self.joined.group.scope;
        let kind = event.kind_for(|object| scope.contains(object, PREFIX.len()));
        let key = event.subject().key.clone();
        let before = match kind.expect("a group has only events for its scope") {
            EventKind::Deleted => self.state.remove(&key),
            _ => self.state.insert(key, event.revision),
        };
        assert_eq!(
            before.is_some(),
            kind != Some(EventKind::Added),
            "{event:?}"
        );
    }
}

fn list(core: &Core, scope: &Scope) -> State {
    let view = core.view(scope);
    view.iter().map(|o| (o.key.clone(), o.revision)).collect()
}

#[test]
fn an_event_touches_its_own_groups_only() {
    let (mut core, now) = (core(100), Instant::now());
    let scopes = [
        Scope::All,
        Scope::namespace("a"),
        Scope::namespace("b"),
        Scope::index("n1"),
        Scope::index("n2"),
        Scope::index("n3"),
        Scope::Key(key("a/1")),
        Scope::Key(key("a/2")),
    ];
    let mut readers: Vec<_> = scopes
        .iter()
        .map(|s| Reader::join(&mut core, s, None))
        .collect();
    core.apply(vec![put("a/1", 2, "n1")], now);
    let touched = core.apply(vec![put("a/1", 3, "n2"), put("a/1", 4, "n2")], now);
    let touched: Vec<_> = touched.iter().map(|group| group.scope.clone()).collect();
    // All and the others were not woken since the first change, and are not reported again.
    assert_eq!(touched, [Scope::index("n2")]);
    let counts: Vec<_> = readers.iter_mut().map(|r| r.read(4).unwrap()).collect();
    assert_eq!(counts, [3, 3, 0, 2, 2, 0, 3, 0]);
}

#[test]
fn a_revision_is_delivered_whole_or_not_at_all() {
    let (mut core, now) = (core(100), Instant::now());
    let mut reader = Reader::join(&mut core, &Scope::All, None);
    core.apply(
        vec![put("a/1", 2, "n"), put("a/2", 3, "n"), put("a/3", 3, "n")],
        now,
    );
    assert_eq!(reader.read(2), Ok(1));
    assert_eq!(reader.read(3), Ok(2));
}

#[test]
fn a_reader_is_too_old_only_for_what_concerned_it() {
    let (mut core, now) = (core(3), Instant::now());
    let mut quiet = Reader::join(&mut core, &Scope::namespace("q"), None);
    let mut busy = Reader::join(&mut core, &Scope::namespace("b"), None);
    core.apply((2..10).map(|at| put("b/1", at, "n")).collect(), now);
    core.apply(vec![put("q/1", 10, "n")], now);
    assert_eq!(quiet.read(10), Ok(1));
    assert_eq!(busy.read(10), Err(CacheError::TooOld { oldest: 7 }));
    let late = core.join(&Scope::namespace("q"), Some(6)).err();
    assert_eq!(late, Some(CacheError::TooOld { oldest: 7 }));
    assert!(core.join(&Scope::namespace("q"), Some(7)).is_ok());
}

#[test]
fn a_new_list_ends_everybody() {
    let (mut core, now) = (core(100), Instant::now());
    let mut reader = Reader::join(&mut core, &Scope::All, None);
    core.apply(vec![put("a/1", 2, "n")], now);
    let ended = core.replace(Vec::new(), Default::default(), 9);
    assert_eq!(ended.len(), 1);
    assert_eq!(reader.read(9), Err(CacheError::TooOld { oldest: 9 }));
    let again = Reader::join(&mut core, &Scope::All, None);
    core.groups_mut().leave(&reader.joined.group);
    assert_eq!(
        core.groups().watchers(),
        1,
        "the old group is not the new one"
    );
    core.groups_mut().leave(&again.joined.group);
    assert_eq!(core.groups().watchers(), 0);
}

#[test]
fn values_that_are_no_objects_are_counted_but_not_shown() {
    let (mut core, now) = (core(100), Instant::now());
    let mut reader = Reader::join(&mut core, &Scope::All, None);
    core.apply(vec![put("a/1", 2, "n"), put("a/2", 3, "n")], now);
    core.apply(vec![change("a/1", 4, Content::Foreign)], now);
    core.apply(vec![change("a/3", 5, Content::Foreign)], now);
    assert_eq!((core.content().0.len(), core.content().1), (1, 3));
    assert_eq!(reader.read(5), Ok(3), "a/1 counts as deleted");
    core.apply(vec![delete("a/3", 6), delete("a/1", 7)], now);
    assert_eq!(core.content().1, 1);
    assert_eq!(reader.read(7), Ok(0));
    assert_eq!(core.revision(), 7);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Random changes, readers that join at random places and read at random times, a ring that is sometimes short.
    #[test]
    fn reconstructions_equal_lists(
        steps in vec((0u8..10, 0u8..4, 0u8..8), 1..300),
        events_max in prop_oneof![Just(5usize), Just(1000)],
    ) {
        let (mut core, now) = (core(events_max), Instant::now());
        let scopes = [
            Scope::All,
            Scope::namespace("a"),
            Scope::index("n1"),
            Scope::index("n2"),
            Scope::Key(key("a/3")),
        ];
        let mut history: Vec<(i64, Vec<State>)> = Vec::new();
        let mut readers: Vec<Reader> = Vec::new();
        for (revision, (name, node, act)) in (2i64..).zip(steps) {
            let name = format!("{}/{name}", if name % 2 == 0 { "a" } else { "b" });
            let changed = match act {
                0 => vec![delete(&name, revision)],
                1 => vec![delete(&name, revision), put("b/extra", revision, "n2")],
                _ => vec![put(&name, revision, &format!("n{node}"))],
            };
            core.apply(changed, now);
            // A deletion of nothing is no event, but moves the revision all the same.
            core.progress(revision);
            history.push((revision, scopes.iter().map(|s| list(&core, s)).collect()));
            let scope = usize::from(node + act) % scopes.len();
            if act == 7 {
                readers.push(Reader::join(&mut core, &scopes[scope], None));
            }
            if act == 6 {
                let (at, states) = &history[history.len() / 2];
                let after = Some((*at, states[scope].clone()));
                if *at >= core.ring().floor() {
                    readers.push(Reader::join(&mut core, &scopes[scope], after));
                }
            }
            if act == 5 && !readers.is_empty() {
                let one = usize::from(node) % readers.len();
                let reader = &mut readers[one];
                if reader.read(revision).is_err() {
                    prop_assert!(events_max == 5);
                    let gone = readers.remove(one);
                    core.groups_mut().leave(&gone.joined.group);
                }
            }
        }
        let last = core.revision();
        for reader in &mut readers {
            match reader.read(last) {
                Ok(_) => {
                    let expected = list(&core, &reader.joined.group.scope);
                    prop_assert_eq!(&reader.state, &expected, "{:?}", reader.joined.group.scope);
                }
                Err(_) => prop_assert!(events_max == 5),
            }
        }
        for (at, states) in &history {
            match core.past(*at) {
                Ok(past) => {
                    let objects = past.make();
                    let all: State = objects.iter().map(|o| (o.key.clone(), o.revision)).collect();
                    prop_assert_eq!(&all, &states[0]);
                }
                Err(_) => prop_assert!(*at < core.ring().floor()),
            }
        }
    }
}
