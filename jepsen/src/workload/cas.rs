//! Creations, updates and deletions that race for few keys, each guarded by the revision it has seen.

use super::keys;
use crate::client::{Client, Reply};
use crate::limits::RACES_MAX;
use mainstay_check::history::{Answer, KeyValue, Op};
use rand::Rng;

pub(super) const PREFIX: &str = "cas/";
const KEYS: usize = 8;

pub(super) async fn run(client: &mut Client) {
    let key = format!("{PREFIX}{}", client.rng.random_range(0..KEYS));
    if client.rng.random_bool(0.25) {
        return keys::any_read(client, PREFIX, &key).await;
    }
    let Some(mut seen) = keys::read(client, &key).await else {
        return;
    };
    for _ in 0..RACES_MAX {
        let change = change(client, &key, &seen);
        let guard = keys::unmodified(&key, seen.modified);
        let op = keys::txn(vec![guard], vec![change], vec![keys::get(&key)]);
        let Reply::Ok(result) = client.perform(op).await else {
            return;
        };
        match lost_to(&result.answer) {
            Some(winner) => seen = winner,
            None => return,
        }
    }
}

fn change(client: &mut Client, key: &str, seen: &KeyValue) -> Op {
    if seen.modified > 0 && client.rng.random_bool(0.2) {
        keys::delete(key, true)
    } else {
        let value = client.unique();
        keys::put_prev(key, value)
    }
}

/// What a transaction that lost its race has read instead.
pub(super) fn lost_to(answer: &Answer) -> Option<KeyValue> {
    match answer {
        Answer::Txn {
            succeeded: false,
            responses,
        } => match responses.first() {
            Some(Answer::Range { kvs, .. }) => Some(kvs.first().cloned().unwrap_or_default()),
            _ => None,
        },
        _ => None,
    }
}
