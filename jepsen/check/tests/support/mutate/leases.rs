//! Leases that end too early, come back or are told wrongly.

use mainstay_check::AnomalyKind as Kind;
use mainstay_check::History;
use mainstay_check::history::{Answer, FailureKind, Op, OpResult, Operation, Outcome};
use rand::rngs::StdRng;

use super::{Mutation, answer, is_ok, pick};

pub fn all() -> Vec<Mutation> {
    let of = |name, spoil, found_as| Mutation {
        name,
        spoil,
        found_as,
    };
    vec![
        of("lease ends too early", early, &[Kind::LeaseEarly]),
        of("lease comes back", resurrected, &[Kind::LeaseResurrected]),
        of("lease out of nowhere", unknown_lease, &[Kind::LeaseUnknown]),
        of("more time than granted", too_long, &[Kind::LeaseTtl]),
        of(
            "a part of a lease's keys survives",
            torn,
            &[Kind::LeaseTorn, Kind::WatchLost],
        ),
    ]
}

fn not_found(operation: &Operation) -> bool {
    let error = operation.error.as_ref();
    error.is_some_and(|error| error.kind == FailureKind::LeaseNotFound)
}

fn lease_of(op: &Op) -> Option<i64> {
    match op {
        Op::LeaseKeepAlive { lease } | Op::LeaseRevoke { lease } | Op::LeaseTtl { lease, .. } => {
            Some(*lease)
        }
        _ => None,
    }
}

fn revoked(history: &History, lease: i64) -> bool {
    history.operations.iter().any(|operation| {
        operation.outcome != Outcome::Fail && operation.op == Op::LeaseRevoke { lease }
    })
}

fn granted(history: &History, lease: i64) -> Option<&Operation> {
    history.operations.iter().find(|operation| {
        matches!(&operation.op, Op::LeaseGrant(grant) if grant.lease == lease) && is_ok(operation)
    })
}

/// A lease that ran out and was then asked for had been granted for longer.
fn early(history: &mut History, rng: &mut StdRng) -> bool {
    let known = history.clone();
    let at = pick(&history.operations, rng, |operation| {
        lease_of(&operation.op).is_some_and(|lease| {
            not_found(operation)
                && !revoked(&known, lease)
                && granted(&known, lease).is_some_and(|g| g.returned < Some(operation.call))
        })
    });
    let Some(at) = at else { return false };
    let lease = lease_of(&history.operations[at].op).unwrap();
    for operation in &mut history.operations {
        let granted = matches!(&operation.op, Op::LeaseGrant(g) if g.lease == lease);
        if granted && let Some(result) = &mut operation.result {
            result.answer = Answer::LeaseGrant { lease, ttl: 1000 };
        }
    }
    true
}

fn resurrected(history: &mut History, rng: &mut StdRng) -> bool {
    let known = history.clone();
    let gone = |lease: i64, before: u64| {
        known.operations.iter().any(|operation| {
            is_ok(operation)
                && operation.op == Op::LeaseRevoke { lease }
                && operation.returned < Some(before)
        })
    };
    let at = pick(&history.operations, rng, |operation| {
        not_found(operation)
            && matches!(operation.op, Op::LeaseKeepAlive { lease } if gone(lease, operation.call))
    });
    let Some(at) = at else { return false };
    let before = &known.operations[..at];
    let operation = &mut history.operations[at];
    operation.outcome = Outcome::Ok;
    operation.error = None;
    operation.result = Some(OpResult {
        revision: before
            .iter()
            .filter_map(|o| o.result.as_ref().map(|r| r.revision))
            .next()
            .unwrap_or(1),
        answer: Answer::LeaseKeepAlive { ttl: 1 },
    });
    true
}

fn unknown_lease(history: &mut History, rng: &mut StdRng) -> bool {
    let at = pick(&history.operations, rng, |operation| {
        is_ok(operation) && matches!(operation.op, Op::LeaseKeepAlive { .. })
    });
    let Some(at) = at else { return false };
    history.operations[at].op = Op::LeaseKeepAlive { lease: 99_999 };
    true
}

fn too_long(history: &mut History, rng: &mut StdRng) -> bool {
    let at = pick(&history.operations, rng, |operation| {
        let answer = operation.result.as_ref().map(|result| &result.answer);
        matches!(answer, Some(Answer::LeaseTtl { ttl, .. }) if *ttl >= 0)
    });
    let Some(at) = at else { return false };
    if let Answer::LeaseTtl {
        ttl, granted_ttl, ..
    } = answer(&mut history.operations[at])
    {
        *ttl = *granted_ttl + 1;
    }
    true
}

/// Two keys of one lease, of which only one ends with it, as every watch tells.
fn torn(history: &mut History, _: &mut StdRng) -> bool {
    use crate::support::build::{news, ok, put_leased, was_deleted, was_put, watching, written};
    use mainstay_check::history::{GrantOp, KeyValue, WatchNews};
    let grant = Op::LeaseGrant(GrantOp { lease: 5, ttl: 1 });
    let kv = |key: &str, revision| KeyValue {
        key: key.into(),
        value: "v".into(),
        create: revision,
        modified: revision,
        version: 1,
        lease: 5,
    };
    *history = History::default();
    history.operations = vec![
        ok(1, 1, 2, grant, 1, Answer::LeaseGrant { lease: 5, ttl: 1 }),
        ok(1, 3, 4, put_leased("a", "v", 5), 2, written()),
        ok(1, 5, 6, put_leased("b", "v", 5), 3, written()),
    ];
    let mut created = news(1, 1, WatchNews::Created);
    created.request = Some(Box::new(watching("a", 1)));
    created.request.as_mut().unwrap().end = vec![0].into();
    let late = 3_000_000_000;
    history.watches = vec![
        created,
        news(5, 2, WatchNews::Events(vec![was_put(kv("a", 2), None)])),
        news(7, 3, WatchNews::Events(vec![was_put(kv("b", 3), None)])),
        news(
            late,
            4,
            WatchNews::Events(vec![was_deleted("a", 4, Some(kv("a", 2)))]),
        ),
    ];
    true
}
