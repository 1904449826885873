//! Transactions of blind writes, reads and deletions over few keys, with comparisons of every kind and nested ones.

use super::keys;
use crate::client::Client;
use mainstay_check::history::{Blob, Cmp, Compare, DeleteOp, Op, PutOp, Target};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

pub(super) const PREFIX: &str = "txn/";
const KEYS: usize = 6;
/// Most steps of a branch.
const STEPS_MAX: usize = 4;

pub(super) async fn run(client: &mut Client) {
    let key = key(client.rng.random_range(0..KEYS));
    let op = match client.rng.random_range(0..10) {
        0 | 1 => return keys::any_read(client, PREFIX, &key).await,
        2 => {
            let value = client.unique();
            keys::put_prev(&key, value)
        }
        3 => keys::delete(&key, true),
        _ => transaction(client, 0),
    };
    client.perform(op).await;
}

fn key(index: usize) -> String {
    format!("{PREFIX}{index}")
}

fn transaction(client: &mut Client, depth: usize) -> Op {
    // The two branches never both happen, but a nested transaction shares the keys of its branch.
    let half = KEYS / 2;
    let mine = if depth == 0 { 0..KEYS } else { half..KEYS };
    let compares = (0..client.rng.random_range(0..3))
        .map(|_| compare(client))
        .collect();
    let then = branch(client, mine.clone(), depth);
    let otherwise = branch(client, mine, depth);
    keys::txn(compares, then, otherwise)
}

fn branch(client: &mut Client, mine: std::ops::Range<usize>, depth: usize) -> Vec<Op> {
    let nested = depth == 0 && client.rng.random_bool(0.15);
    // A key is written at most once per branch, or etcd refuses; the upper half is left to the nested one.
    let end = if nested { KEYS / 2 } else { mine.end };
    let mut writable: Vec<usize> = (mine.start..end).collect();
    let mut steps = Vec::new();
    for _ in 0..client.rng.random_range(1..=STEPS_MAX) {
        steps.push(step(client, &mut writable));
    }
    if nested {
        let at = client.rng.random_range(0..=steps.len());
        steps.insert(at, transaction(client, depth + 1));
    }
    steps
}

fn step(client: &mut Client, writable: &mut Vec<usize>) -> Op {
    let kind = client.rng.random_range(0..10);
    if kind < 4 || writable.is_empty() {
        return if client.rng.random_bool(0.2) {
            Op::Range(keys::all(PREFIX))
        } else {
            keys::get(&key(client.rng.random_range(0..KEYS)))
        };
    }
    let at = client.rng.random_range(0..writable.len());
    let key = key(writable.swap_remove(at));
    let prev_kv = client.rng.random_bool(0.5);
    if kind < 9 {
        Op::Put(PutOp {
            key: key.into(),
            value: client.unique().into(),
            lease: 0,
            prev_kv,
        })
    } else {
        Op::Delete(DeleteOp {
            key: key.into(),
            end: Blob::default(),
            prev_kv,
        })
    }
}

fn compare(client: &mut Client) -> Compare {
    let now = client.shared.revision();
    let rng: &mut StdRng = &mut client.rng;
    let target = match rng.random_range(0..4) {
        0 => Target::Version(rng.random_range(0..4)),
        1 => Target::Create((now - rng.random_range(0..40)).max(0)),
        2 => Target::Mod((now - rng.random_range(0..20)).max(0)),
        _ => Target::Value(Blob::from("0.1")),
    };
    let cmp = *[Cmp::Equal, Cmp::NotEqual, Cmp::Less, Cmp::Greater]
        .choose(rng)
        .expect("there are four");
    keys::compare(&key(rng.random_range(0..KEYS)), target, cmp)
}
