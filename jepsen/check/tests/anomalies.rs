//! Small histories written by hand: each has one thing wrong, and it is named.

mod support;

use mainstay_check::history::{
    Answer, Demand, Event, FailureKind, Fault, GrantOp, Op, OpKind, Operation, WatchNews,
    WatchRequest,
};
use mainstay_check::{AnomalyKind, HarnessFault, History, Judgement, Options, Verdict, judge};
use support::build::*;

fn of(operations: Vec<Operation>) -> History {
    History {
        operations,
        ..History::default()
    }
}

fn judged(history: &History) -> Judgement {
    judge(history, &Options::default())
}

#[track_caller]
fn found(history: &History, kind: AnomalyKind) {
    let verdict = judged(history).verdict;
    let Verdict::Invalid { anomalies } = &verdict else {
        panic!("{verdict:?}");
    };
    assert!(
        anomalies.iter().any(|anomaly| anomaly.kind == kind),
        "{anomalies:?}"
    );
}

#[track_caller]
fn valid(history: &History) {
    assert_eq!(judged(history).verdict, Verdict::Valid);
}

fn two_writes() -> Vec<Operation> {
    vec![
        ok(1, 1, 2, put("a", "1"), 2, written()),
        ok(1, 3, 4, put("a", "2"), 3, written()),
    ]
}

#[test]
fn a_stale_read_after_a_pause() {
    let mut history = of(two_writes());
    history
        .operations
        .push(ok(2, 5, 6, get("a"), 2, range(vec![kv("a", "1", 2, 2, 1)])));
    found(&history, AnomalyKind::StaleRead);
    // The same answer is right while the second write is under way.
    history.operations[2].call = 3;
    history.operations[2].id = 77;
    valid(&history);
}

#[test]
fn a_stale_answer_under_a_new_header() {
    let mut history = of(two_writes());
    history
        .operations
        .push(ok(2, 5, 6, get("a"), 3, range(vec![kv("a", "1", 2, 2, 1)])));
    found(&history, AnomalyKind::StaleRead);
}

#[test]
fn an_acknowledged_write_lost_in_a_crash() {
    let mut history = of(two_writes());
    history
        .operations
        .push(ok(2, 5, 6, get("a"), 2, range(vec![kv("a", "1", 2, 2, 1)])));
    history
        .operations
        .push(ok(2, 7, 8, put("a", "3"), 3, written()));
    found(&history, AnomalyKind::DuplicateRevision);
    found(&history, AnomalyKind::RevisionBack);
}

#[test]
fn an_unknown_write_may_happen_late_once_or_never() {
    let mut history = of(two_writes());
    history.operations.push(unknown(2, 5, put("a", "3")));
    valid(&history);
    history.operations.push(ok(
        3,
        9,
        10,
        get("a"),
        4,
        range(vec![kv("a", "3", 2, 4, 3)]),
    ));
    valid(&history);
    // Seen before it was called.
    history.operations[2].call = 11;
    found(&history, AnomalyKind::PhantomWrite);
}

#[test]
fn an_unknown_write_happens_only_once() {
    let mut history = of(two_writes());
    history.operations.push(unknown(2, 5, put("a", "3")));
    history
        .operations
        .push(ok(3, 7, 8, get("a"), 4, range(vec![kv("a", "3", 2, 4, 3)])));
    history
        .operations
        .push(ok(3, 9, 10, put("a", "4"), 5, written()));
    history.operations.push(ok(
        3,
        11,
        12,
        get("a"),
        6,
        range(vec![kv("a", "3", 2, 6, 5)]),
    ));
    found(&history, AnomalyKind::PhantomWrite);
}

#[test]
fn an_update_lost_to_another() {
    let history = of(vec![
        ok(1, 1, 2, put("a", "1"), 2, written()),
        ok(
            1,
            3,
            10,
            cas("a", 2, "x"),
            3,
            Answer::Txn {
                succeeded: true,
                responses: vec![written()],
            },
        ),
        ok(
            2,
            4,
            11,
            cas("a", 2, "y"),
            4,
            Answer::Txn {
                succeeded: true,
                responses: vec![written()],
            },
        ),
    ]);
    found(&history, AnomalyKind::WrongBranch);
}

#[test]
fn the_writes_of_a_transaction_at_revisions_of_their_own() {
    use mainstay_check::history::TxnOp;
    let txn = Op::Txn(TxnOp {
        then: vec![put("a", "1"), put("b", "1")],
        ..TxnOp::default()
    });
    let history = of(vec![
        ok(
            1,
            1,
            2,
            txn,
            3,
            Answer::Txn {
                succeeded: true,
                responses: vec![written(), written()],
            },
        ),
        ok(1, 3, 4, get("a"), 3, range(vec![kv("a", "1", 2, 2, 1)])),
    ]);
    found(&history, AnomalyKind::PhantomWrite);
}

#[test]
fn a_missing_previous_pair() {
    let mut history = of(two_writes());
    history.operations[1].op = put_prev("a", "2");
    found(&history, AnomalyKind::MissingPrevKv);
}

#[test]
fn a_deletion_that_comes_back() {
    let mut history = of(two_writes());
    history
        .operations
        .push(ok(1, 5, 6, delete("a"), 4, deleted(1)));
    history
        .operations
        .push(ok(1, 7, 8, get("a"), 4, range(vec![kv("a", "2", 2, 3, 2)])));
    found(&history, AnomalyKind::StaleRead);
}

/// A watch of `a` from revision 1 with these responses.
fn watched(news_of: Vec<(i64, WatchNews)>) -> History {
    let mut history = of(two_writes());
    history
        .operations
        .push(ok(1, 5, 6, delete("a"), 4, deleted(1)));
    let mut created = news(7, 4, WatchNews::Created);
    created.request = Some(Box::new(watching("a", 1)));
    history.watches.push(created);
    for (revision, what) in news_of {
        history.watches.push(news(20, revision, what));
    }
    history
}

fn all_events() -> Vec<Event> {
    let (one, two) = (kv("a", "1", 2, 2, 1), kv("a", "2", 2, 3, 2));
    vec![
        was_put(one.clone(), None),
        was_put(two.clone(), Some(one)),
        was_deleted("a", 4, Some(two)),
    ]
}

#[test]
fn a_watch_that_tells_all() {
    valid(&watched(vec![
        (4, WatchNews::Events(all_events())),
        (4, WatchNews::Progress),
    ]));
}

#[test]
fn a_watch_event_lost_between_two_or_before_a_bookmark() {
    let mut events = all_events();
    events.remove(1);
    found(
        &watched(vec![(4, WatchNews::Events(events))]),
        AnomalyKind::WatchLost,
    );
    found(
        &watched(vec![(4, WatchNews::Progress)]),
        AnomalyKind::WatchLost,
    );
}

#[test]
fn a_watch_event_doubled_after_catching_up() {
    let last = all_events().split_off(2);
    let history = watched(vec![
        (4, WatchNews::Events(all_events())),
        (4, WatchNews::Events(last)),
    ]);
    found(&history, AnomalyKind::WatchDuplicate);
}

#[test]
fn a_deletion_lost_at_the_compacted_revision() {
    let mut history = watched(vec![(4, WatchNews::Progress)]);
    history
        .operations
        .push(ok(1, 7, 8, Op::Compact { revision: 4 }, 4, Answer::Compact));
    let request = WatchRequest {
        start_revision: 4,
        ..watching("a", 4)
    };
    history.watches[0].request = Some(Box::new(request));
    found(&history, AnomalyKind::WatchLost);
    history.watches[1].news = WatchNews::Events(all_events().split_off(2));
    valid(&history);
    // What was compacted cannot be told, and need not.
    history.watches[1].news = WatchNews::Events(vec![was_deleted("a", 4, None)]);
    valid(&history);
}

#[test]
fn canceled_for_compaction_only_when_something_older_is_needed() {
    let canceled = |compact_revision| WatchNews::Canceled {
        reason: String::new(),
        compact_revision,
    };
    let mut history = watched(vec![(4, canceled(3))]);
    history
        .operations
        .push(ok(1, 7, 8, Op::Compact { revision: 3 }, 4, Answer::Compact));
    valid(&history);
    history.watches[0].request = Some(Box::new(watching("a", 3)));
    found(&history, AnomalyKind::WatchCancel);
}

#[test]
fn reads_at_the_compacted_revision_must_answer() {
    let mut history = of(two_writes());
    history
        .operations
        .push(ok(1, 5, 6, Op::Compact { revision: 3 }, 3, Answer::Compact));
    let at_edge = failed(1, 7, 8, get_at("a", 3), FailureKind::Compacted);
    history.operations.push(at_edge);
    found(&history, AnomalyKind::CompactedEarly);
    history.operations[3] = failed(1, 7, 8, get_at("a", 2), FailureKind::Compacted);
    valid(&history);
    history.operations[3] = ok(1, 7, 8, get_at("a", 3), 3, range(vec![]));
    found(&history, AnomalyKind::LostWrite);
}

const SECOND: u64 = 1_000_000_000;

fn leased() -> History {
    let grant = Op::LeaseGrant(GrantOp { lease: 7, ttl: 10 });
    of(vec![
        ok(1, 1, 2, grant, 1, Answer::LeaseGrant { lease: 7, ttl: 10 }),
        ok(1, 3, 4, put_leased("a", "1", 7), 2, written()),
    ])
}

#[test]
fn a_lease_that_ends_when_half_its_time_is_over() {
    for (seconds, early) in [(5, true), (11, false)] {
        let mut history = leased();
        let time = seconds * SECOND;
        history
            .operations
            .push(ok(1, time, time + 1, list(), 3, range(vec![])));
        if early {
            found(&history, AnomalyKind::LeaseEarly);
        } else {
            valid(&history);
        }
    }
}

#[test]
fn a_lease_forgotten_by_a_new_leader() {
    let mut history = leased();
    let keepalive = Op::LeaseKeepAlive { lease: 7 };
    history.operations.push(failed(
        1,
        SECOND,
        SECOND + 1,
        keepalive,
        FailureKind::LeaseNotFound,
    ));
    found(&history, AnomalyKind::LeaseEarly);
}

#[test]
fn a_revoked_lease_that_leaves_its_keys() {
    let mut history = leased();
    history.operations.push(ok(
        1,
        5,
        6,
        Op::LeaseRevoke { lease: 7 },
        2,
        Answer::LeaseRevoke,
    ));
    found(&history, AnomalyKind::LeaseKeysSurvive);
}

#[test]
fn a_set_that_loses_an_element() {
    let mut history = of(vec![
        ok(1, 1, 2, put("set/1", ""), 2, written()),
        ok(1, 3, 4, put("set/2", ""), 3, written()),
        ok(2, 5, 6, list(), 3, range(vec![kv("set/2", "", 3, 3, 1)])),
    ]);
    history.run.sets = vec!["set/".into()];
    found(&history, AnomalyKind::SetLost);
    let both = vec![kv("set/1", "", 2, 2, 1), kv("set/2", "", 3, 3, 1)];
    history.operations.push(ok(2, 7, 8, list(), 3, range(both)));
    found(&history, AnomalyKind::SetStale);
}

#[test]
fn a_cycle_of_list_appends() {
    let append = |call, key: &str, modified, value: &str, revision| {
        let answer = Answer::Txn {
            succeeded: true,
            responses: vec![written()],
        };
        ok(
            1,
            call,
            call + 1,
            cas(key, modified, value),
            revision,
            answer,
        )
    };
    let read = |call, key: &str, value: &str| {
        ok(
            2,
            call,
            call + 1,
            get(key),
            3,
            range(vec![kv(key, value, 2, 3, 2)]),
        )
    };
    let mut history = of(vec![
        append(1, "list/a", 0, "1", 2),
        append(3, "list/a", 2, "1 2", 3),
    ]);
    history.run.lists = vec!["list/".into()];
    history.operations.push(read(5, "list/a", "1 2"));
    valid(&history);
    // An append that both acknowledged and lost: the reader goes back in time.
    history.operations[2] = read(5, "list/a", "1");
    found(&history, AnomalyKind::Cycle);
}

#[test]
fn a_read_that_goes_back_in_a_register() {
    let mut history = of(two_writes());
    history.run.registers = vec!["a".into()];
    history
        .operations
        .push(ok(2, 5, 6, get("a"), 3, range(vec![kv("a", "1", 2, 2, 1)])));
    found(&history, AnomalyKind::Cycle);
    found(&history, AnomalyKind::NotLinearizable);
}

#[test]
fn a_run_that_did_too_little_is_not_blamed_on_the_store() {
    let mut history = of(two_writes());
    history.run.demand = Demand {
        ops: [(OpKind::Put, 2), (OpKind::Txn, 1)].into(),
        faults: [("kill".to_owned(), 1)].into(),
        ..Demand::default()
    };
    // A fault without proof does not count.
    history.faults.push(Fault {
        name: "kill".into(),
        targets: Vec::new(),
        start: 1,
        end: None,
        proof: None,
    });
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Valid);
    assert!(!judgement.passed());
    assert_eq!(judgement.harness.len(), 2, "{:?}", judgement.harness);
    history.faults[0].proof = Some("exit by signal 9".into());
    assert_eq!(judged(&history).harness.len(), 1);
}

#[test]
fn a_client_that_goes_on_after_an_unknown_outcome_is_a_fault_of_the_harness() {
    let mut history = of(two_writes());
    history.operations.insert(0, unknown(1, 0, put("b", "1")));
    let judgement = judged(&history);
    let malformed = |fault: &HarnessFault| matches!(fault, HarnessFault::Malformed(_));
    assert!(judgement.harness.iter().any(malformed));
    assert!(!judgement.passed());
}
