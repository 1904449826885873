//! What a Kubernetes apiserver does to its store: optimistic creations, updates and deletions by revision that read
//! the current object when they lose, lists in pages at one revision, watches from there on, a compaction agreed upon
//! through a key, and events with leases.

use super::cas::lost_to;
use super::keys;
use crate::client::{Client, Reply, Step, WatchStream};
use crate::limits::RACES_MAX;
use mainstay_check::history::{Answer, Cmp, GrantOp, KeyValue, Op, RangeOp, Target, WatchRequest};
use rand::Rng;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

pub(super) const PREFIX: &str = "/registry/";
const PODS: &str = "/registry/pods/";
const COMPACTION_KEY: &str = "compact_rev_key";
const NAMESPACES: usize = 3;
const PODS_PER_NAMESPACE: usize = 8;
/// Pairs of one page of a list.
const PAGE: i64 = 7;
/// Pages read before a list is given up.
const PAGES_MAX: usize = 20;
/// Seconds an event lives, and how long one lease is shared by new events.
const EVENT_TTL: i64 = 12;
const LEASE_SHARED: Duration = Duration::from_secs(3);
/// How long a list is followed by its watch, milliseconds.
const WATCH_MS: std::ops::Range<u64> = 500..6_000;
/// Between two compactions.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(3);

/// What one apiserver remembers between two requests.
#[derive(Debug, Default)]
pub(super) struct Apiserver {
    event_lease: Option<(i64, Instant)>,
    compaction: Option<Compaction>,
}

/// The state of the agreement: the version of the key and the revision it named.
#[derive(Debug)]
struct Compaction {
    version: i64,
    revision: i64,
    last: Instant,
}

pub(super) async fn run(client: &mut Client, apiserver: &mut Apiserver) {
    if apiserver
        .compaction
        .as_ref()
        .is_none_or(|known| known.last.elapsed() > COMPACTION_INTERVAL)
    {
        return compact(client, apiserver).await;
    }
    match client.rng.random_range(0..20) {
        0..=9 => write(client).await,
        10..=12 => event(client, apiserver).await,
        13..=14 => drop(list(client, PODS).await),
        _ => {
            let key = pod(client);
            client.get(&key, false).await;
        }
    }
}

fn pod(client: &mut Client) -> String {
    let (namespace, pod) = (
        client.rng.random_range(0..NAMESPACES),
        client.rng.random_range(0..PODS_PER_NAMESPACE),
    );
    format!("{PODS}ns-{namespace}/pod-{pod}")
}

/// `GuaranteedUpdate`, `Create` and `Delete` of the apiserver's storage.
async fn write(client: &mut Client) {
    let key = pod(client);
    let Some(mut seen) = keys::read(client, &key).await else {
        return;
    };
    for _ in 0..RACES_MAX {
        let change = if seen.modified > 0 && client.rng.random_bool(0.3) {
            keys::delete(&key, false)
        } else {
            let object = format!("{{\"uid\":\"{}\"}}", client.unique());
            keys::put(&key, object)
        };
        let op = keys::txn(
            vec![keys::unmodified(&key, seen.modified)],
            vec![change],
            vec![keys::get(&key)],
        );
        let Reply::Ok(result) = client.perform(op).await else {
            return;
        };
        match lost_to(&result.answer) {
            Some(winner) => seen = winner,
            None => return,
        }
    }
}

async fn event(client: &mut Client, apiserver: &mut Apiserver) {
    let lease = match apiserver.event_lease {
        Some((lease, granted)) if granted.elapsed() < LEASE_SHARED => lease,
        _ => {
            let grant = Op::LeaseGrant(GrantOp {
                lease: 0,
                ttl: EVENT_TTL,
            });
            let Some(result) = client.perform(grant).await.ok() else {
                return;
            };
            let Answer::LeaseGrant { lease, .. } = result.answer else {
                return;
            };
            apiserver.event_lease = Some((lease, Instant::now()));
            lease
        }
    };
    let unique = client.unique();
    let key = format!(
        "{PREFIX}events/ns-{}/{unique}",
        client.rng.random_range(0..NAMESPACES)
    );
    let op = keys::txn(
        vec![keys::unmodified(&key, 0)],
        vec![keys::put_leased(&key, unique, lease)],
        vec![keys::get(&key)],
    );
    client.perform(op).await;
}

/// A list in pages, all at the revision of the first. Returns that revision.
async fn list(client: &mut Client, prefix: &str) -> Option<i64> {
    let mut range = RangeOp {
        limit: PAGE,
        ..keys::all(prefix)
    };
    for _ in 0..PAGES_MAX {
        let result = client.perform(Op::Range(range.clone())).await.ok()?;
        let Answer::Range { kvs, more, .. } = &result.answer else {
            return None;
        };
        if range.revision == 0 {
            range.revision = result.revision;
        }
        match kvs.last() {
            Some(KeyValue { key, .. }) if *more => {
                let mut next = key.to_vec();
                next.push(0);
                range.key = next.into();
            }
            _ => return Some(range.revision),
        }
    }
    None
}

/// The apiservers agree through a key which of them compacts, and up to where: what the last round named.
async fn compact(client: &mut Client, apiserver: &mut Apiserver) {
    let (version, revision) = apiserver
        .compaction
        .as_ref()
        .map_or((0, 0), |known| (known.version, known.revision));
    let guard = keys::compare(COMPACTION_KEY, Target::Version(version), Cmp::Equal);
    let put = keys::put(COMPACTION_KEY, client.shared.revision().to_string());
    let op = keys::txn(vec![guard], vec![put], vec![keys::get(COMPACTION_KEY)]);
    let result = client.perform(op).await.ok();
    let last = Instant::now();
    let Some(result) = result else {
        // Nobody knows whether the round was won: learn the version anew.
        apiserver.compaction = Some(Compaction {
            version,
            revision,
            last,
        });
        return;
    };
    if let Some(current) = lost_to(&result.answer) {
        apiserver.compaction = Some(Compaction {
            version: current.version,
            revision: result.revision,
            last,
        });
        return;
    }
    apiserver.compaction = Some(Compaction {
        version: version + 1,
        revision: result.revision,
        last,
    });
    if revision > 0 {
        client.perform(Op::Compact { revision }).await;
    }
}

/// A reflector: lists, then watches from the next revision on, and lists again when it has been left behind.
pub(super) async fn reflector(mut client: Client) {
    while client.shared.load.running() {
        if let Some(revision) = list(&mut client, PODS).await {
            let mut stream = WatchStream::open(&client);
            let request = WatchRequest {
                key: PODS.into(),
                end: keys::end_of(PODS),
                start_revision: revision + 1,
                prev_kv: true,
                progress: true,
                filters: Vec::new(),
            };
            stream.watch(&client, request).await;
            let until = Instant::now() + Duration::from_millis(client.rng.random_range(WATCH_MS));
            while let Ok(Step::News(..)) = timeout_at(until, stream.next(&client)).await {}
        }
        if !client
            .shared
            .load
            .pause(crate::limits::PAUSE_AFTER_FAILURE)
            .await
        {
            return;
        }
    }
}
