//! What clients do.

mod leader;
mod namespaces;
mod objects;
mod services;
mod setup;

pub(super) use self::setup::{last_writes, prepare};

use super::client::{Client, Shared, Wanted};
use super::informer::{Interest, Place, inform};
use super::kind::Kind;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The namespaces that stay.
pub(super) const NAMESPACES: [&str; 3] = ["a", "b", "c"];
/// Values of the label that objects are told apart by.
pub(super) const COLORS: [&str; 3] = ["red", "green", "blue"];
/// That label.
pub(super) const COLOR: &str = "color";

/// Clients of each server by what they do: objects, services, one candidate, one of namespaces.
const WRITERS: usize = 5;
const SERVICES: usize = 1;

/// How many clients keep to the rate.
pub(super) fn paced(servers: usize) -> usize {
    servers * (WRITERS + SERVICES + 2)
}

/// Starts all clients; they end with the load.
pub(super) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>) {
    let servers = shared.addresses.len();
    let mut slot = 0;
    let mut client = || {
        slot += 1;
        Client::new(shared, slot - 1)
    };
    for _ in 0..servers * WRITERS {
        tasks.spawn(objects::work(client()));
    }
    for _ in 0..servers * SERVICES {
        tasks.spawn(services::work(client()));
    }
    for _ in 0..servers {
        tasks.spawn(leader::work(client()));
        tasks.spawn(namespaces::work(client()));
    }
}

/// Starts the informers: each interest once for every server. Where each is, by name.
pub(super) fn start_informers(
    shared: &Arc<Shared>,
    target: &watch::Receiver<i64>,
    tasks: &mut JoinSet<()>,
) -> Vec<(&'static str, Arc<AtomicI64>)> {
    let mut places = Vec::new();
    let first = 1_000;
    for (at, interest) in interests().into_iter().enumerate() {
        for server in 0..shared.addresses.len() {
            let place = Place {
                at: Arc::new(AtomicI64::new(0)),
                target: target.clone(),
            };
            places.push((interest.name, place.at.clone()));
            let mut client = Client::new(shared, first + at * 16 + server);
            client.home = server;
            tasks.spawn(inform(client, interest.clone(), place));
        }
    }
    places
}

fn interests() -> Vec<Interest> {
    let label = |among, values: &[&str]| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        vec![(COLOR.to_owned(), among, values)]
    };
    let field = |name: &str, value: &str| vec![(name.to_owned(), true, value.to_owned())];
    let of = |name, kind, namespace, streams| Interest {
        name,
        kind,
        namespace,
        wanted: Wanted::default(),
        streams,
    };
    let mut all = vec![
        of("configmaps", Kind::ConfigMap, "", false),
        of("configmaps-streamed", Kind::ConfigMap, "", true),
        of("configmaps-of-a", Kind::ConfigMap, "a", false),
        of("pods", Kind::Pod, "", true),
        of("services", Kind::Service, "", false),
        of("leases", Kind::Lease, "", true),
        of("namespaces", Kind::Namespace, "", false),
    ];
    let mut some = |name, kind, namespace, streams, labels, fields| {
        let mut interest = of(name, kind, namespace, streams);
        interest.wanted.labels = labels;
        interest.wanted.fields = fields;
        all.push(interest);
    };
    let map = Kind::ConfigMap;
    some("red", map, "", false, label(true, &["red"]), vec![]);
    some(
        "not-blue-of-b",
        map,
        "b",
        true,
        label(false, &["blue"]),
        vec![],
    );
    some(
        "one-configmap",
        map,
        "a",
        false,
        vec![],
        field("metadata.name", "c3"),
    );
    let pod = Kind::Pod;
    some(
        "pods-of-n1",
        pod,
        "",
        false,
        vec![],
        field("spec.nodeName", "n1"),
    );
    some(
        "pods-of-n2-streamed",
        pod,
        "",
        true,
        vec![],
        field("spec.nodeName", "n2"),
    );
    some(
        "running",
        pod,
        "",
        false,
        vec![],
        field("status.phase", "Running"),
    );
    some(
        "warm-of-n2",
        pod,
        "",
        false,
        label(true, &["red", "green"]),
        field("spec.nodeName", "n2"),
    );
    all
}
