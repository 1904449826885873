//! Leases: kept alive, revoked or left to expire, with keys that must live exactly as long.

use super::keys;
use crate::client::{Client, Reply};
use mainstay_check::history::{Answer, GrantOp, Op};
use rand::Rng;
use std::time::Duration;
use tokio::time::Instant;

pub(super) const PREFIX: &str = "lease/";
/// Leases one client holds at a time.
const HELD_MAX: usize = 3;
/// Seconds asked for.
const TTLS: [i64; 4] = [2, 3, 5, 8];
/// Left leases that are looked at until they are gone.
const LEFT_MAX: usize = 8;

/// What one client knows of its leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: Vec<Held>,
    left: Vec<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    id: i64,
    ttl: Duration,
    renewed: Instant,
    key: String,
}

pub(super) async fn run(client: &mut Client, leases: &mut Leases) {
    // Renewing in time comes before everything else, as it would for a client that means to keep its lease.
    if let Some(index) = leases
        .held
        .iter()
        .position(|held| held.renewed.elapsed() > held.ttl / 3)
    {
        return renew(client, leases, index).await;
    }
    match client.rng.random_range(0..10) {
        0..=2 if leases.held.len() < HELD_MAX => grant(client, leases).await,
        3 | 4 => attach(client, leases).await,
        5 => revoke(client, leases).await,
        6 => leave(client, leases),
        7 => ask(client, leases).await,
        _ => look(client, leases).await,
    }
}

async fn grant(client: &mut Client, leases: &mut Leases) {
    let ttl = TTLS[client.rng.random_range(0..TTLS.len())];
    // Half the ids are ours: a grant whose outcome is unknown can then still be asked about.
    let lease = if client.rng.random() {
        client.rng.random_range(1..i64::MAX)
    } else {
        0
    };
    let Some(result) = client
        .perform(Op::LeaseGrant(GrantOp { lease, ttl }))
        .await
        .ok()
    else {
        return;
    };
    let Answer::LeaseGrant { lease: id, ttl } = result.answer else {
        return;
    };
    let key = format!(
        "{PREFIX}{}/{}",
        client.slot,
        client.rng.random_range(0..HELD_MAX)
    );
    let ttl = Duration::from_secs(ttl.unsigned_abs());
    let held = Held {
        id,
        ttl,
        renewed: Instant::now(),
        key: key.clone(),
    };
    let value = client.unique();
    client.perform(keys::put_leased(&key, value, id)).await;
    leases.held.push(held);
}

async fn attach(client: &mut Client, leases: &Leases) {
    let Some(held) = pick(client, &leases.held) else {
        return;
    };
    let (key, value) = (held.key.clone(), client.unique());
    // Without a lease a put detaches the key, which then outlives it.
    let id = if client.rng.random_bool(0.2) {
        0
    } else {
        held.id
    };
    client.perform(keys::put_leased(&key, value, id)).await;
}

async fn renew(client: &mut Client, leases: &mut Leases, index: usize) {
    let (id, started) = (leases.held[index].id, Instant::now());
    match client.perform(Op::LeaseKeepAlive { lease: id }).await {
        Reply::Ok(_) => leases.held[index].renewed = started,
        Reply::Fail(failure) if failure.class == "lease-not-found" => {
            drop(leases.held.swap_remove(index))
        }
        // Tried again at the next turn, as another operation, unless it must have expired by now.
        _ if leases.held[index].renewed.elapsed() > 2 * leases.held[index].ttl => {
            let held = leases.held.swap_remove(index);
            remember(leases, held);
        }
        _ => {}
    }
}

async fn revoke(client: &mut Client, leases: &mut Leases) {
    let Some(held) = pick(client, &leases.held) else {
        return;
    };
    leases.held.retain(|other| other.id != held.id);
    client.perform(Op::LeaseRevoke { lease: held.id }).await;
    client.perform(keys::get(&held.key)).await;
}

/// Renews it no more: it must go by itself, and not too early.
fn leave(client: &mut Client, leases: &mut Leases) {
    let Some(held) = pick(client, &leases.held) else {
        return;
    };
    leases.held.retain(|other| other.id != held.id);
    remember(leases, held);
}

fn remember(leases: &mut Leases, held: Held) {
    if leases.left.len() == LEFT_MAX {
        leases.left.remove(0);
    }
    leases.left.push(held);
}

async fn ask(client: &mut Client, leases: &mut Leases) {
    let candidates: Vec<Held> = leases.held.iter().chain(&leases.left).cloned().collect();
    let Some(held) = pick(client, &candidates) else {
        return;
    };
    let keys = client.rng.random();
    let answer = client
        .perform(Op::LeaseTtl {
            lease: held.id,
            keys,
        })
        .await
        .ok();
    let gone = matches!(
        answer.map(|result| result.answer),
        Some(Answer::LeaseTtl { ttl: -1, .. })
    );
    if gone {
        leases.held.retain(|other| other.id != held.id);
        leases.left.retain(|other| other.id != held.id);
        client.perform(keys::get(&held.key)).await;
    }
}

async fn look(client: &mut Client, leases: &Leases) {
    let candidates: Vec<Held> = leases.held.iter().chain(&leases.left).cloned().collect();
    let key = pick(client, &candidates).map_or_else(|| format!("{PREFIX}0/0"), |held| held.key);
    keys::any_read(client, PREFIX, &key).await;
}

fn pick(client: &mut Client, from: &[Held]) -> Option<Held> {
    (!from.is_empty()).then(|| from[client.rng.random_range(0..from.len())].clone())
}
