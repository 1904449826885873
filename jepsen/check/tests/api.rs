//! The judge of apiservers: a history in which everything is as it should be, and every way to spoil it.

mod api_world;

use api_world::{Building as _, call, world};
use mainstay_check::api::{
    ApiHistory, ApiReading, Ask, Begin, InformerEvent, Item, News, State, Verb, judge_api,
};
use mainstay_check::history::{Fault, Outcome};
use mainstay_check::{AnomalyKind, Verdict};

fn judge(history: ApiHistory) -> Verdict {
    let reading = ApiReading {
        history,
        bad: Vec::new(),
    };
    let judgement = judge_api(&reading);
    assert!(judgement.harness.is_empty(), "{:?}", judgement.harness);
    judgement.verdict
}

#[test]
fn a_history_without_faults_is_valid() {
    assert_eq!(judge(world()), Verdict::Valid);
}

type Spoil = fn(&mut ApiHistory);

fn events(history: &mut ApiHistory, informer: usize) -> &mut Vec<InformerEvent> {
    &mut history.informers[informer].events
}

fn item(event: &mut InformerEvent) -> &mut Item {
    match &mut event.news {
        News::Added(item) | News::Modified(item) | News::Deleted(item) => item,
        News::Bookmark { .. } => panic!("a bookmark has no item"),
    }
}

fn state(history: &mut ApiHistory, revision: i64) -> &mut State {
    let change = history
        .changes
        .iter_mut()
        .find(|change| change.revision == revision);
    change
        .expect("the world has it")
        .after
        .as_mut()
        .expect("the world has it")
}

/// What is done to the history, and as what it must be found. The world is drawn in `api_world`.
const SPOILS: &[(&str, AnomalyKind, Spoil)] = &[
    (
        "an acknowledged create is not in the store",
        AnomalyKind::LostWrite,
        |h| {
            h.calls.push(
                call(90, Verb::Create, "configmaps/a/lost", 950, 960)
                    .token("t-90")
                    .saw(10, "u-90", 1),
            );
        },
    ),
    (
        "a write is answered with a revision that is not its own",
        AnomalyKind::LostWrite,
        |h| {
            h.calls[0].seen.as_mut().expect("the world has it").version = 3;
        },
    ),
    (
        "a write is answered with other contents",
        AnomalyKind::WrongValue,
        |h| {
            h.calls[0].seen.as_mut().expect("the world has it").digest += 1;
        },
    ),
    (
        "a refused write is in the store",
        AnomalyKind::AbortedWrite,
        |h| {
            h.calls[1].outcome = Outcome::Fail;
            h.calls[1].status = 409;
        },
    ),
    (
        "an update ignores the version it names",
        AnomalyKind::UnguardedUpdate,
        |h| {
            h.calls[1].named = Some(1);
        },
    ),
    (
        "an update of unknown outcome ignores the version it names",
        AnomalyKind::UnguardedUpdate,
        |h| {
            h.calls[1].outcome = Outcome::Unknown;
            h.calls[1].seen = None;
            h.calls[1].named = Some(1);
        },
    ),
    (
        "a deletion ignores the version it names",
        AnomalyKind::UnguardedUpdate,
        |h| {
            h.calls[3].named = Some(2);
        },
    ),
    (
        "a write happens twice",
        AnomalyKind::DuplicateRevision,
        |h| {
            state(h, 7).tokens = vec!["t-1".into()];
        },
    ),
    ("a deleted object stays", AnomalyKind::LostWrite, |h| {
        h.changes.retain(|change| change.revision != 6);
        h.last
            .as_mut()
            .expect("the world has it")
            .objects
            .push(("configmaps/a/x".into(), 4));
    }),
    (
        "a write gets a revision from before its call",
        AnomalyKind::RevisionBack,
        |h| {
            let late = &mut h.calls[0];
            (late.call, late.returned) = (900, Some(910));
        },
    ),
    (
        "a create replaces an object",
        AnomalyKind::WrongCreate,
        |h| {
            h.calls[1].verb = Verb::Create;
            h.calls[1].named = None;
        },
    ),
    ("an object changes its uid", AnomalyKind::WrongUid, |h| {
        state(h, 4).uid = "u-other".into();
    }),
    ("two objects have one uid", AnomalyKind::WrongUid, |h| {
        state(h, 5).uid = "u-x".into();
    }),
    ("an epoch goes back", AnomalyKind::EpochBack, |h| {
        state(h, 2).epoch = Some(7);
        state(h, 4).epoch = Some(6);
    }),
    ("a consistent read is stale", AnomalyKind::StaleRead, |h| {
        h.calls
            .push(call(91, Verb::Get, "configmaps/a/x", 450, 460).saw(2, "u-x", 102));
    }),
    (
        "a read not older than a version is older",
        AnomalyKind::StaleRead,
        |h| {
            let mut read = call(92, Verb::Get, "configmaps/a/x", 450, 460).saw(2, "u-x", 102);
            read.ask = Ask::NotOlder(4);
            h.calls.push(read);
        },
    ),
    (
        "a cached read goes back behind a list of the same server",
        AnomalyKind::StaleRead,
        |h| {
            let mut read = call(93, Verb::Get, "configmaps/a/x", 560, 570).saw(2, "u-x", 102);
            read.ask = Ask::Any;
            h.calls.push(read);
        },
    ),
    (
        "what was acknowledged is not found",
        AnomalyKind::StaleRead,
        |h| {
            let mut read = call(94, Verb::Get, "configmaps/a/x", 450, 460);
            (read.outcome, read.status) = (Outcome::Fail, 404);
            h.calls.push(read);
        },
    ),
    (
        "a read shows what is written later",
        AnomalyKind::FutureRead,
        |h| {
            h.calls
                .push(call(95, Verb::Get, "configmaps/a/y", 150, 160).saw(5, "u-y", 105));
        },
    ),
    (
        "a read shows what never was",
        AnomalyKind::WrongValue,
        |h| {
            h.calls
                .push(call(96, Verb::Get, "configmaps/a/x", 450, 460).saw(4, "u-x", 999));
        },
    ),
    ("a list misses an object", AnomalyKind::ListBroken, |h| {
        h.lists[0].items.remove(0);
    }),
    (
        "a list shows an object of another namespace",
        AnomalyKind::ListBroken,
        |h| {
            let other = Item {
                key: "configmaps/b/z".into(),
                version: 3,
                digest: 103,
            };
            h.lists[0].items.push(other);
        },
    ),
    (
        "a list shows an old version",
        AnomalyKind::ListBroken,
        |h| {
            h.lists[0].items[0] = Item {
                key: "configmaps/a/x".into(),
                version: 2,
                digest: 102,
            };
        },
    ),
    (
        "the pages of a list are of several revisions",
        AnomalyKind::ListBroken,
        |h| {
            h.lists[0].torn = true;
        },
    ),
    (
        "a list says that more follows than does",
        AnomalyKind::ListBroken,
        |h| {
            h.lists[0].remaining = Some(3);
        },
    ),
    ("a consistent list is stale", AnomalyKind::StaleRead, |h| {
        h.lists[0].call = 760;
        h.lists[0].returned = 770;
    }),
    (
        "an exact list is of another revision",
        AnomalyKind::StaleRead,
        |h| {
            h.lists[0].ask = Ask::Exact(4);
        },
    ),
    (
        "lists of one server go back",
        AnomalyKind::RevisionBack,
        |h| {
            let mut back = h.lists[0].clone();
            (back.id, back.ask, back.revision) = (97, Ask::Any, 2);
            (back.call, back.returned) = (560, 570);
            back.items = vec![Item {
                key: "configmaps/a/x".into(),
                version: 2,
                digest: 102,
            }];
            back.first = 1;
            h.lists.push(back);
        },
    ),
    ("a watch loses an event", AnomalyKind::WatchLost, |h| {
        events(h, 0).remove(1);
    }),
    (
        "a watch loses its last event before a bookmark",
        AnomalyKind::WatchLost,
        |h| {
            events(h, 0).remove(3);
        },
    ),
    (
        "a watch tells an event twice",
        AnomalyKind::WatchDuplicate,
        |h| {
            let again = events(h, 0)[1].clone();
            events(h, 0).insert(2, again);
        },
    ),
    (
        "a resumed watch tells what was seen before",
        AnomalyKind::WatchDuplicate,
        |h| {
            h.informers[0].begin = Begin::After(4);
        },
    ),
    (
        "a watch tells events out of order",
        AnomalyKind::WatchOrder,
        |h| {
            events(h, 0).swap(1, 2);
        },
    ),
    (
        "a watch tells what its selector does not see",
        AnomalyKind::WatchFilter,
        |h| {
            let news = News::Added(Item {
                key: "configmaps/b/z".into(),
                version: 3,
                digest: 103,
            });
            events(h, 0).insert(0, InformerEvent { time: 320, news });
        },
    ),
    (
        "a watch tells what did not happen",
        AnomalyKind::WatchWrong,
        |h| {
            let news = News::Added(Item {
                key: "configmaps/a/never".into(),
                version: 3,
                digest: 1,
            });
            events(h, 0).insert(0, InformerEvent { time: 320, news });
        },
    ),
    (
        "what leaves the selection is told as modified",
        AnomalyKind::WatchWrong,
        |h| {
            let event = &mut events(h, 1)[1];
            event.news = News::Modified(item(event).clone());
        },
    ),
    (
        "a deletion does not carry the last state",
        AnomalyKind::WatchWrong,
        |h| {
            let event = &mut events(h, 0)[2];
            item(event).digest = 102;
        },
    ),
    (
        "a bookmark is followed by what it covers",
        AnomalyKind::WatchBookmark,
        |h| {
            let bookmark = News::Bookmark {
                revision: 7,
                initial_end: false,
            };
            events(h, 0).insert(
                3,
                InformerEvent {
                    time: 640,
                    news: bookmark,
                },
            );
        },
    ),
    ("a bookmark goes back", AnomalyKind::WatchBookmark, |h| {
        let bookmark = News::Bookmark {
            revision: 5,
            initial_end: false,
        };
        events(h, 0).push(InformerEvent {
            time: 840,
            news: bookmark,
        });
    }),
    ("a state misses an object", AnomalyKind::ListBroken, |h| {
        events(h, 2).remove(0);
    }),
    (
        "a state is older than was asked for",
        AnomalyKind::StaleRead,
        |h| {
            h.informers[2].call = 760;
        },
    ),
    (
        "two services have one address",
        AnomalyKind::DoubleOwner,
        |h| {
            state(h, 10).addresses = vec!["10.0.0.1".into()];
        },
    ),
    (
        "two services have one port",
        AnomalyKind::DoubleOwner,
        |h| {
            state(h, 10).ports = vec![30_001];
        },
    ),
    (
        "a service has an address that nobody reserved",
        AnomalyKind::DoubleOwner,
        |h| {
            state(h, 9).addresses = vec!["10.0.0.7".into()];
        },
    ),
    (
        "a request fails while a server ends in order",
        AnomalyKind::FailedAtEnd,
        |h| {
            h.faults.push(Fault {
                name: "term".into(),
                targets: vec!["s0".into()],
                start: 900,
                end: Some(990),
                proof: Some("ended".into()),
            });
            let mut failed = call(98, Verb::Get, "configmaps/a/y", 950, 960);
            (failed.outcome, failed.status) = (Outcome::Fail, 503);
            h.calls.push(failed);
        },
    ),
];

#[test]
fn every_way_to_spoil_it_is_found_as_what_it_is() {
    for (name, kind, spoil) in SPOILS {
        let mut history = world();
        spoil(&mut history);
        let Verdict::Invalid { anomalies } = judge(history) else {
            panic!("{name}: not found");
        };
        let found = anomalies.iter().any(|anomaly| anomaly.kind == *kind);
        assert!(found, "{name}: {anomalies:?}");
    }
}

#[test]
fn what_is_allowed_is_no_anomaly() {
    let fine: &[(&str, Spoil)] = &[
        ("a cached read on a fresh connection may be stale", |h| {
            let mut read = call(90, Verb::Get, "configmaps/a/x", 850, 860).saw(2, "u-x", 102);
            (read.ask, read.conn) = (Ask::Any, 99);
            h.calls.push(read);
        }),
        ("a write without an answer may have happened", |h| {
            h.calls[1].outcome = Outcome::Unknown;
            h.calls[1].seen = None;
        }),
        ("a request that was not sent fails nobody", |h| {
            h.faults.push(Fault {
                name: "term".into(),
                targets: vec!["s0".into()],
                start: 900,
                end: Some(990),
                proof: Some("ended".into()),
            });
            let mut refused = call(91, Verb::Get, "configmaps/a/y", 950, 960);
            (refused.outcome, refused.unsent) = (Outcome::Fail, true);
            h.calls.push(refused);
        }),
        ("no address is left while a server ends in order", |h| {
            h.faults.push(Fault {
                name: "term".into(),
                targets: vec!["s0".into()],
                start: 900,
                end: Some(990),
                proof: Some("ended".into()),
            });
            let mut full = call(92, Verb::Create, "", 950, 960);
            (full.outcome, full.status) = (Outcome::Unknown, 500);
            full.error = "InternalError: failed to allocate a serviceIP: range is full".into();
            h.calls.push(full);
        }),
        ("a watch may end anywhere", |h| {
            events(h, 0).truncate(2);
        }),
        ("a list may stop after its first page", |h| {
            h.lists[0].complete = false;
            h.lists[0].items.truncate(1);
            h.lists[0].first = 1;
            h.lists[0].remaining = Some(1);
        }),
    ];
    for (name, spoil) in fine {
        let mut history = world();
        spoil(&mut history);
        assert_eq!(judge(history), Verdict::Valid, "{name}");
    }
}

#[test]
fn a_witness_that_missed_something_proves_nothing() {
    let mut history = world();
    history.changes.retain(|change| change.revision != 7);
    let reading = ApiReading {
        history,
        bad: Vec::new(),
    };
    assert!(!judge_api(&reading).harness.is_empty());
}
