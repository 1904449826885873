//! Candidates for one lease, and a ledger that only the newest leader may write: each write names the version it saw
//! and the epoch of its writer's reign.

use super::super::client::{Client, Reply, Request};
use super::super::kind::Kind;
use super::super::object::{self, EPOCH, TOKEN};
use super::NAMESPACES;
use mainstay_check::api::Verb;
use rand::Rng;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

pub(super) const LEASE: &str = "leader";
pub(super) const LEDGER: &str = "ledger";
/// How long a lease that nobody renews is respected.
const TERM: Duration = Duration::from_secs(3);

/// What a candidate knows of the lease.
struct Candidate {
    /// The version seen last, and since when.
    seen: Option<(i64, Instant)>,
    /// Its reign, while it believes that it leads.
    epoch: Option<i64>,
}

pub(super) async fn work(mut client: Client) {
    let mut candidate = Candidate {
        seen: None,
        epoch: None,
    };
    while client.turn().await {
        match candidate.epoch {
            // A leader that has been deposed does not know yet: what it writes must be refused.
            Some(epoch) if client.rng.random_bool(0.6) => write(&mut client, epoch).await,
            _ => campaign(&mut client, &mut candidate).await,
        }
    }
}

async fn campaign(client: &mut Client, candidate: &mut Candidate) {
    let get = Request::new(Verb::Get, Kind::Lease, NAMESPACES[0], LEASE);
    let Some(mut lease) = client.perform(get).await.ok() else {
        return;
    };
    let Some(version) = object::version(&lease) else {
        return;
    };
    let own = format!("client-{}", client.number);
    let leads = lease["spec"]["holderIdentity"] == own.as_str();
    let since = match candidate.seen {
        Some((seen, since)) if seen == version => since,
        _ => Instant::now(),
    };
    candidate.seen = Some((version, since));
    if !leads {
        candidate.epoch = None;
        if since.elapsed() < TERM {
            return;
        }
    }
    let transitions = lease["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
    let epoch = match leads {
        true => transitions,
        false => transitions + 1,
    };
    stamp(client, &mut lease, epoch);
    lease["spec"]["holderIdentity"] = json!(own);
    lease["spec"]["leaseTransitions"] = json!(epoch);
    let mut request = Request::new(Verb::Update, Kind::Lease, NAMESPACES[0], LEASE).with(lease);
    request.named = Some(version);
    match client.perform(request).await {
        Reply::Ok(_) => candidate.epoch = Some(epoch),
        // Refused: somebody else was faster. Unknown: the next look tells.
        Reply::Fail | Reply::Unknown => candidate.epoch = None,
    }
}

fn stamp(client: &Client, object: &mut Value, epoch: i64) {
    object["metadata"]["annotations"][TOKEN] = json!(client.token());
    object["metadata"]["annotations"][EPOCH] = json!(epoch.to_string());
}

async fn write(client: &mut Client, epoch: i64) {
    let get = Request::new(Verb::Get, Kind::ConfigMap, NAMESPACES[0], LEDGER);
    let Some(mut ledger) = client.perform(get).await.ok() else {
        return;
    };
    let written = ledger["metadata"]["annotations"][EPOCH]
        .as_str()
        .and_then(|epoch| epoch.parse().ok())
        .unwrap_or(0);
    if written > epoch {
        return;
    }
    let version = object::version(&ledger);
    stamp(client, &mut ledger, epoch);
    let mut request =
        Request::new(Verb::Update, Kind::ConfigMap, NAMESPACES[0], LEDGER).with(ledger);
    request.named = version;
    client.perform(request).await;
}
