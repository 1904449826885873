//! Sets: unique elements are added and never change; whoever reads must find all that were there.

use super::keys::{self, Rotation};
use crate::client::Client;
use mainstay_check::history::Op;
use rand::Rng;

const PREFIX: &str = "set/";
/// Sets in use at a time.
pub(super) const LIVE: u64 = 2;
/// Sets in all: when they have all had their turn, the first has it again.
const SETS: u64 = 48;

/// What the keys of each set begin with.
pub(super) fn prefixes() -> impl Iterator<Item = String> {
    (0..SETS).map(prefix)
}

fn prefix(set: u64) -> String {
    format!("{PREFIX}{:02}/", set % SETS)
}

pub(super) async fn run(client: &mut Client, rotation: &Rotation) {
    if client.rng.random_bool(0.6) {
        add(client, rotation).await;
    } else {
        look(client, rotation).await;
    }
}

async fn add(client: &mut Client, rotation: &Rotation) {
    let set = prefix(rotation.pick(&mut client.rng));
    let element = client.unique();
    let key = format!("{set}{element}");
    client.perform(keys::put(&key, element)).await;
}

async fn look(client: &mut Client, rotation: &Rotation) {
    let set = prefix(rotation.look(&mut client.rng));
    let mut range = keys::all(&set);
    let now = client.shared.revision();
    match client.rng.random_range(0..10) {
        0 => range.serializable = true,
        1 => range.revision = (now - client.rng.random_range(0..50)).max(1),
        2 => range.keys_only = true,
        3 => range.count_only = true,
        _ => {}
    }
    client.perform(Op::Range(range)).await;
}
