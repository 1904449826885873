//! Single keys as versioned registers.

use super::keys::{self, Rotation};
use crate::client::Client;
use mainstay_check::history::{Cmp, KeyValue, Target};
use rand::Rng;

pub(super) const PREFIX: &str = "reg/";
/// Keys in use at a time.
pub(super) const LIVE: u64 = 4;

pub(super) async fn run(client: &mut Client, rotation: &Rotation) {
    let key = format!("{PREFIX}{:06}", rotation.pick(&mut client.rng));
    match client.rng.random_range(0..10) {
        0..=3 => {
            let serializable = client.rng.random_bool(0.15);
            client.get(&key, serializable).await;
        }
        // Ten neighbours at most: with all keys there have been, every such read would be longer than the last.
        4 => keys::any_read(client, &key[..key.len() - 1], &key).await,
        5 | 6 => {
            let value = client.unique();
            let op = if client.rng.random() {
                keys::put(&key, value)
            } else {
                keys::put_prev(&key, value)
            };
            client.perform(op).await;
        }
        _ => swap(client, &key).await,
    }
}

/// Reads, then writes only if nobody else has meanwhile; a lost race reads what won.
async fn swap(client: &mut Client, key: &str) {
    let Some(seen) = keys::read(client, key).await else {
        return;
    };
    let guard = guard(client, &seen);
    let compare = keys::compare(key, guard, Cmp::Equal);
    let value = client.unique();
    let op = keys::txn(
        vec![compare],
        vec![keys::put(key, value)],
        vec![keys::get(key)],
    );
    client.perform(op).await;
}

/// Any of the marks by which a pair is recognised; a missing one has no value to compare.
fn guard(client: &mut Client, seen: &KeyValue) -> Target {
    match client.rng.random_range(0..3) {
        0 => Target::Version(seen.version),
        1 if seen.modified > 0 => Target::Value(seen.value.clone()),
        _ => Target::Mod(seen.modified),
    }
}
