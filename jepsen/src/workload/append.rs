//! Lists that only grow, in transactions over several of them: reads first, then a guarded transaction, as a careful
//! client would do it.

use super::keys::{self, Rotation};
use crate::client::Client;
use mainstay_check::history::{Answer, KeyValue, Op};
use rand::Rng;
use std::collections::BTreeMap;

pub(super) const PREFIX: &str = "list/";
/// Lists in use at a time.
pub(super) const LIVE: u64 = 3;
/// Most steps of a transaction.
const STEPS_MAX: usize = 4;

pub(super) async fn run(client: &mut Client, rotation: &Rotation) {
    let steps = client.rng.random_range(1..=STEPS_MAX);
    // A key appears once: etcd refuses to write one twice in a transaction.
    let mut wanted = BTreeMap::new();
    for _ in 0..steps {
        let key = format!("{PREFIX}{:06}", rotation.pick(&mut client.rng));
        let append = client.rng.random_bool(0.6);
        *wanted.entry(key).or_insert(false) |= append;
    }
    let reads: Vec<Op> = wanted.keys().map(|key| keys::get(key)).collect();
    let Some(result) = client
        .perform(keys::txn(Vec::new(), reads.clone(), Vec::new()))
        .await
        .ok()
    else {
        return;
    };
    let Answer::Txn { responses, .. } = result.answer else {
        return;
    };
    if !wanted.values().any(|append| *append) {
        return;
    }
    let mut compares = Vec::new();
    let mut then = Vec::new();
    for ((key, append), response) in wanted.iter().zip(&responses) {
        let seen = first(response);
        compares.push(keys::unmodified(key, seen.modified));
        then.push(if *append {
            keys::put(key, longer(client, &seen))
        } else {
            keys::get(key)
        });
    }
    client.perform(keys::txn(compares, then, reads)).await;
}

fn first(response: &Answer) -> KeyValue {
    match response {
        Answer::Range { kvs, .. } => kvs.first().cloned().unwrap_or_default(),
        _ => KeyValue::default(),
    }
}

fn longer(client: &mut Client, seen: &KeyValue) -> String {
    let element = client.unique_number();
    match seen.value.as_text() {
        Some(list) if !list.is_empty() => format!("{list} {element}"),
        _ => element.to_string(),
    }
}
