//! What etcd's lease service promises, line by line.

use mainstay_lease::limits::{EXPIRY_RETRY_MS, TTL_MAX_S};
use mainstay_lease::{Checkpoint, LeaseError, Lessor, Record, min_ttl_s, positive_id};

fn leader(now: u64) -> Lessor {
    let mut lessor = Lessor::new(2);
    lessor.promote(now);
    lessor
}

#[test]
fn minimum_follows_the_election_timeout() {
    assert_eq!(min_ttl_s(1_000), 2);
    assert_eq!(min_ttl_s(5_000), 8);
    assert_eq!(min_ttl_s(100), 1);
    assert_eq!(min_ttl_s(0), 1);
    assert_eq!(min_ttl_s(u64::MAX), TTL_MAX_S);
}

#[test]
fn chosen_ids_are_positive() {
    for random in [0, 1, 2, u64::MAX, 1 << 63, (1 << 63) - 1] {
        assert!(positive_id(random) > 0);
    }
}

#[test]
fn grant_raises_refuses_and_returns_the_ttl() {
    let mut lessor = leader(0);
    assert_eq!(lessor.grant(1, 0, 0).unwrap().ttl_s, 2);
    assert_eq!(lessor.grant(2, -7, 0).unwrap().ttl_s, 2);
    assert_eq!(lessor.grant(3, i64::MIN, 0).unwrap().ttl_s, 2);
    assert_eq!(lessor.grant(4, 60, 0).unwrap().ttl_s, 60);
    assert_eq!(lessor.grant(5, TTL_MAX_S, 0).unwrap().ttl_s, TTL_MAX_S);
    assert_eq!(lessor.grant(6, TTL_MAX_S + 1, 0), Err(LeaseError::TooLarge));
    assert_eq!(lessor.grant(4, 60, 0), Err(LeaseError::Exists));
    assert_eq!(lessor.grant(0, 60, 0), Err(LeaseError::NoId));
    assert_eq!(lessor.len(), 5);
    assert!(lessor.exists(4) && !lessor.exists(6));
}

#[test]
fn expiry_is_handed_out_once_and_again_after_the_retry_time() {
    let mut lessor = leader(0);
    lessor.grant(1, 5, 0).unwrap();
    lessor.grant(2, 3, 0).unwrap();
    lessor.grant(3, 4, 0).unwrap();
    assert_eq!(lessor.leases(), [2, 3, 1]);
    assert!(lessor.due_expired(2_999, 10).is_empty());
    assert_eq!(lessor.due_expired(4_000, 1), [2]);
    assert_eq!(lessor.due_expired(4_000, 10), [3]);
    assert!(lessor.due_expired(4_000, 10).is_empty());
    assert_eq!(lessor.renew(2, 4_000), Err(LeaseError::Expired));
    assert_eq!(lessor.time_to_live(2, 4_000).unwrap().remaining_s, 0);
    lessor.revoke(2).unwrap();
    assert_eq!(lessor.revoke(2), Err(LeaseError::NotFound));
    assert_eq!(lessor.renew(2, 4_000), Err(LeaseError::NotFound));
    assert_eq!(lessor.due_expired(4_000 + EXPIRY_RETRY_MS, 10), [1, 3]);
}

#[test]
fn renewal_restarts_the_full_ttl() {
    let mut lessor = leader(0);
    lessor.grant(1, 10, 0).unwrap();
    let renewal = lessor.renew(1, 9_999).unwrap();
    assert_eq!((renewal.ttl_s, renewal.needs_reset), (10, false));
    assert!(lessor.due_expired(19_998, 10).is_empty());
    assert_eq!(lessor.time_to_live(1, 10_000).unwrap().remaining_s, 9);
    assert_eq!(lessor.time_to_live(1, 10_000).unwrap().granted_s, 10);
    assert_eq!(lessor.due_expired(19_999, 10), [1]);
    assert_eq!(lessor.renew(9, 0), Err(LeaseError::NotFound));
}

#[test]
fn followers_expire_nothing_and_know_no_times() {
    let mut lessor = Lessor::new(2);
    lessor.grant(7, 2, 0).unwrap();
    lessor.grant(3, 9, 0).unwrap();
    assert!(lessor.due_expired(u64::MAX, 10).is_empty());
    assert!(lessor.due_checkpoints(u64::MAX, 10).is_empty());
    assert_eq!(lessor.renew(7, 0), Err(LeaseError::NotLeader));
    assert_eq!(lessor.time_to_live(7, 0), Err(LeaseError::NotLeader));
    assert_eq!(lessor.leases(), [3, 7]);
}

#[test]
fn a_leader_change_neither_shortens_nor_restarts() {
    let mut lessor = leader(0);
    lessor.grant(1, 100, 0).unwrap();
    assert!(lessor.due_checkpoints(9_999, 10).is_empty());
    let due = lessor.due_checkpoints(10_000, 10);
    assert_eq!(
        due,
        [Checkpoint {
            id: 1,
            remaining_ms: 90_000
        }]
    );
    let record = lessor.checkpoint(due[0]).unwrap();
    assert_eq!(
        record,
        Record {
            ttl_s: 100,
            remaining_ms: 90_000
        }
    );

    // Another member, whose clock shows something else, takes over 5 s later: it knows of 10 of the 15 s.
    let mut next = Lessor::new(2);
    next.load([(1, Record::decode(&record.encode()).unwrap())]);
    next.promote(1_000_000);
    assert!(next.due_expired(1_089_999, 10).is_empty());
    assert_eq!(next.due_expired(1_090_000, 10), [1]);
}

#[test]
fn renewal_after_a_checkpoint_must_be_replicated_first() {
    let mut lessor = leader(0);
    lessor.grant(1, 100, 0).unwrap();
    let cp = lessor.due_checkpoints(20_000, 10)[0];
    assert!(
        lessor.renew(1, 21_000).unwrap().needs_reset,
        "handed out, perhaps in the log"
    );
    lessor.checkpoint(cp).unwrap();
    assert!(lessor.renew(1, 22_000).unwrap().needs_reset, "recorded");
    assert_eq!(
        lessor
            .checkpoint(Checkpoint {
                id: 1,
                remaining_ms: 0
            })
            .unwrap()
            .remaining_ms,
        0
    );
    assert!(!lessor.renew(1, 23_000).unwrap().needs_reset, "reset");
    assert_eq!(
        lessor.checkpoint(Checkpoint {
            id: 1,
            remaining_ms: 0
        }),
        None
    );
    assert_eq!(
        lessor.checkpoint(Checkpoint {
            id: 2,
            remaining_ms: 0
        }),
        None
    );
    // The next checkpoint is due a granularity after the renewal.
    assert!(lessor.due_checkpoints(32_999, 10).is_empty());
    assert_eq!(lessor.due_checkpoints(33_000, 10).len(), 1);
}

#[test]
fn hand_over_records_every_remaining_time() {
    let mut lessor = leader(0);
    for id in 1..=4 {
        lessor.grant(id, 60, 0).unwrap();
    }
    lessor.renew(2, 500).unwrap();
    let all = lessor.checkpoint_all(500);
    let expected = [1, 3, 4].map(|id| Checkpoint {
        id,
        remaining_ms: 59_500,
    });
    assert_eq!(all, expected);
}

#[test]
fn calls_are_bounded() {
    let mut lessor = leader(0);
    for id in 1..=100 {
        lessor.grant(id, 10, 0).unwrap();
    }
    let mut seen = lessor.due_checkpoints(1_000, 30);
    assert_eq!(seen.len(), 30);
    seen.extend(lessor.due_checkpoints(1_000, 1_000));
    assert_eq!(seen.len(), 100, "each is handed out once");
    assert_eq!(lessor.due_expired(10_000, 40).len(), 40);
    assert_eq!(lessor.due_expired(10_000, 1_000).len(), 60);
}
