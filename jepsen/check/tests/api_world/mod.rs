//! A small world: what happens is at time 100 times its revision.
//!
//! | revision | what happens |
//! |---|---|
//! | 2 | x is created in a, red |
//! | 3 | z is created in b, blue |
//! | 4 | x becomes blue |
//! | 5 | y is created in a, red |
//! | 6 | x is deleted |
//! | 7 | y becomes green |
//! | 8 | 10.0.0.1 is reserved |
//! | 9 | service s gets it, and port 30001 |
//! | 10 | service t, without an address |

use mainstay_check::api::{
    ApiHistory, ApiRun, Ask, Begin, Call, Change, Final, Informer, InformerEvent, Item, Listed,
    News, Seen, Selection, State, Verb,
};
use mainstay_check::history::Outcome;

/// A call that succeeded, without an object.
pub(crate) fn call(id: u64, verb: Verb, key: &str, from: u64, to: u64) -> Call {
    Call {
        id,
        client: 0,
        server: 0,
        conn: 1,
        verb,
        key: key.into(),
        ask: Ask::Consistent,
        named: None,
        uid: None,
        token: None,
        call: from,
        returned: Some(to),
        outcome: Outcome::Ok,
        status: 200,
        error: String::new(),
        unsent: false,
        seen: None,
    }
}

/// Steps of building a call.
pub(crate) trait Building {
    fn token(self, token: &str) -> Self;
    fn saw(self, version: i64, uid: &str, digest: u64) -> Self;
}

impl Building for Call {
    fn token(mut self, token: &str) -> Self {
        self.token = Some(token.into());
        self
    }

    fn saw(mut self, version: i64, uid: &str, digest: u64) -> Self {
        let uid = uid.to_owned();
        self.seen = Some(Seen {
            version,
            uid,
            digest,
        });
        self
    }
}

fn change(revision: i64, key: &str, uid: &str, color: &str) -> Change {
    let label = ("color".to_owned(), color.to_owned());
    Change {
        revision,
        key: key.into(),
        after: Some(State {
            uid: uid.into(),
            digest: digest(revision),
            tokens: vec![format!("t-{revision}")],
            labels: [label].into(),
            ..State::default()
        }),
    }
}

fn digest(revision: i64) -> u64 {
    100 + revision.unsigned_abs()
}

fn item(key: &str, version: i64) -> Item {
    Item {
        key: format!("configmaps/{key}"),
        version,
        digest: digest(version),
    }
}

/// An event at its time; a deletion carries the state of `last`.
fn event(news: News) -> InformerEvent {
    let revision = match &news {
        News::Added(item) | News::Modified(item) | News::Deleted(item) => item.version,
        News::Bookmark { revision, .. } => *revision,
    };
    InformerEvent {
        time: revision.unsigned_abs() * 100 + 20,
        news,
    }
}

fn gone(key: &str, version: i64, last: i64) -> News {
    News::Deleted(Item {
        digest: digest(last),
        ..item(key, version)
    })
}

fn bookmark(revision: i64, initial_end: bool) -> News {
    News::Bookmark {
        revision,
        initial_end,
    }
}

fn informer(id: u64, selection: Selection, begin: Begin, news: Vec<News>) -> Informer {
    Informer {
        id,
        name: format!("informer-{id}"),
        server: 0,
        conn: 1,
        selection,
        begin,
        call: 150,
        events: news.into_iter().map(event).collect(),
        end: "end".into(),
    }
}

fn changes() -> Vec<Change> {
    let mut first = change(2, "configmaps/a/x", "u-x", "red");
    first.after.as_mut().expect("the world has it").tokens = vec!["t-1".into()];
    let mut service = change(9, "services/specs/a/s", "u-s", "");
    let state = service.after.as_mut().expect("the world has it");
    state.addresses = vec!["10.0.0.1".into()];
    state.ports = vec![30_001];
    vec![
        first,
        change(3, "configmaps/b/z", "u-z", "blue"),
        change(4, "configmaps/a/x", "u-x", "blue"),
        change(5, "configmaps/a/y", "u-y", "red"),
        Change {
            revision: 6,
            key: "configmaps/a/x".into(),
            after: None,
        },
        change(7, "configmaps/a/y", "u-y", "green"),
        change(8, "ipaddresses/10.0.0.1", "u-i", ""),
        service,
        change(10, "services/specs/a/t", "u-t", ""),
    ]
}

fn calls() -> Vec<Call> {
    let mut update = call(2, Verb::Update, "configmaps/a/x", 390, 410)
        .token("t-4")
        .saw(4, "u-x", digest(4));
    update.named = Some(2);
    let mut delete = call(4, Verb::Delete, "configmaps/a/x", 590, 610);
    delete.named = Some(4);
    delete.uid = Some("u-x".into());
    vec![
        call(1, Verb::Create, "configmaps/a/x", 190, 210)
            .token("t-1")
            .saw(2, "u-x", digest(2)),
        update,
        call(3, Verb::Create, "configmaps/a/y", 490, 510)
            .token("t-5")
            .saw(5, "u-y", digest(5)),
        delete,
        call(5, Verb::Patch, "configmaps/a/y", 690, 710)
            .token("t-7")
            .saw(7, "u-y", digest(7)),
        call(6, Verb::Get, "configmaps/a/y", 720, 730).saw(7, "u-y", digest(7)),
    ]
}

/// Everything as it should be.
pub(crate) fn world() -> ApiHistory {
    let in_a = Selection {
        prefix: "configmaps/a/".into(),
        ..Selection::default()
    };
    let red = Selection {
        prefix: "configmaps/".into(),
        labels: vec![("color".into(), true, vec!["red".into()])],
        ..Selection::default()
    };
    let list = Listed {
        id: 7,
        client: 0,
        server: 0,
        conn: 1,
        selection: in_a.clone(),
        ask: Ask::Consistent,
        call: 520,
        returned: 530,
        pages: 1,
        complete: true,
        torn: false,
        revision: 5,
        remaining: None,
        first: 2,
        items: vec![item("a/x", 4), item("a/y", 5)],
    };
    let in_a_since_2 = vec![
        News::Modified(item("a/x", 4)),
        News::Added(item("a/y", 5)),
        gone("a/x", 6, 4),
        News::Modified(item("a/y", 7)),
        bookmark(8, false),
    ];
    let red_since_1 = vec![
        News::Added(item("a/x", 2)),
        gone("a/x", 4, 2),
        News::Added(item("a/y", 5)),
        gone("a/y", 7, 5),
    ];
    let state_of_3 = vec![
        News::Added(item("a/x", 2)),
        bookmark(3, true),
        News::Modified(item("a/x", 4)),
    ];
    ApiHistory {
        run: ApiRun::default(),
        calls: calls(),
        lists: vec![list],
        informers: vec![
            informer(10, in_a.clone(), Begin::After(2), in_a_since_2),
            informer(11, red, Begin::After(1), red_since_1),
            informer(12, in_a, Begin::State(Ask::Consistent), state_of_3),
        ],
        changes: changes(),
        last: Some(Final {
            revision: 10,
            objects: [
                ("configmaps/a/y", 7),
                ("configmaps/b/z", 3),
                ("ipaddresses/10.0.0.1", 8),
                ("services/specs/a/s", 9),
                ("services/specs/a/t", 10),
            ]
            .map(|(key, version)| (key.to_owned(), version))
            .into(),
        }),
        faults: Vec::new(),
        logs: Vec::new(),
    }
}
