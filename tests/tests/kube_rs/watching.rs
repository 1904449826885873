//! Watchers and reflectors through restarts, another server and lost history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::runtime::reflector::{Store, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use mainstay_tests::masters::{Masters, compact};
use mainstay_tests::wait_until;
use tokio::task::JoinHandle;

use super::history::{Told, judge};
use super::support::client;
use super::writer::Writer;

/// For watchers to be level again.
const SOON: Duration = Duration::from_secs(60);
/// Writes between two events.
const WRITES: usize = 60;

/// A watcher with everything that hangs on it.
struct Informer {
    what: &'static str,
    told: Arc<Mutex<Vec<Told>>>,
    store: Store<ConfigMap>,
    task: JoinHandle<()>,
}

impl Informer {
    fn start(client: &Client, what: &'static str, config: watcher::Config) -> Self {
        let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
        let (store, writer) = store();
        let told: Arc<Mutex<Vec<Told>>> = Arc::default();
        let log = Arc::clone(&told);
        let watching = watcher(api, config)
            .default_backoff()
            .inspect(move |report| log.lock().unwrap().extend(Told::of(report)))
            .reflect(writer)
            .for_each(async |_| {});
        Self {
            what,
            told,
            store,
            task: tokio::spawn(watching),
        }
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    fn count(&self, is: impl Fn(&Told) -> bool) -> usize {
        self.told
            .lock()
            .unwrap()
            .iter()
            .filter(|told| is(told))
            .count()
    }

    fn state(&self) -> BTreeMap<String, String> {
        versions(self.store.state().iter().map(|object| &**object))
    }
}

impl Drop for Informer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn versions<'a>(objects: impl IntoIterator<Item = &'a ConfigMap>) -> BTreeMap<String, String> {
    let named = |one: &ConfigMap| (one.name_any(), one.resource_version().unwrap());
    objects.into_iter().map(named).collect()
}

/// The newest state, once the server gives it.
async fn fresh(client: &Client) -> BTreeMap<String, String> {
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let list = wait_until("a list", SOON, async || {
        api.list(&ListParams::default()).await.ok()
    })
    .await;
    versions(&list.items)
}

/// Until every store equals a fresh list.
async fn level(client: &Client, informers: &[Informer]) {
    let newest = fresh(client).await;
    assert!(!newest.is_empty());
    for informer in informers {
        let what = format!("{} is level", informer.what);
        wait_until(&what, SOON, async || {
            (informer.state() == newest).then_some(())
        })
        .await;
    }
}

fn informers(client: &Client) -> Vec<Informer> {
    let streaming = || watcher::Config::default().streaming_lists();
    vec![
        Informer::start(client, "list and watch", watcher::Config::default()),
        Informer::start(
            client,
            "pages and watch",
            watcher::Config::default().page_size(3),
        ),
        Informer::start(
            client,
            "lists from the cache",
            watcher::Config::default().any_semantic(),
        ),
        Informer::start(client, "streaming lists", streaming()),
        Informer::start(client, "short watches", streaming().timeout(1)),
    ]
}

#[tokio::test]
async fn informers_miss_nothing_through_restarts_another_server_and_lost_history() {
    let mut masters = Masters::start().await;
    let client = client(&masters.kubeconfig()).await;
    let writer = Writer::start(client.clone());
    writer.more(WRITES).await;
    let informers = informers(&client);
    writer.more(WRITES).await;
    assert!(masters.terminate().await);
    masters.run().await;
    writer.more(WRITES).await;
    masters.kill();
    masters.run().await;
    writer.more(WRITES).await;
    masters.switch();
    writer.more(WRITES).await;
    let written = writer.stop().await;
    level(&client, &informers).await;

    // After a restart the server knows what was before it, if the store tells it how far it is (not all of 3.5 do): then
    // nobody has to list again.
    let remembers = masters.cluster().server().at_least(3, 6);
    let least = if remembers { 2 * WRITES } else { WRITES / 2 };
    for informer in &informers {
        judge(&informer.told(), &written);
        let told = informer.count(|told| matches!(told, Told::Applied(_)));
        assert!(told > least, "{}: only {told} events", informer.what);
    }
}

/// Whoever comes back after the history it needs is gone lists again, and has everything.
#[tokio::test]
async fn a_watcher_whose_history_is_gone_lists_again() {
    let mut masters = Masters::start().await;
    let client = client(&masters.kubeconfig()).await;
    let writer = Writer::start(client.clone());
    let informers = informers(&client);
    writer.more(WRITES).await;
    let mut written = writer.stop().await;
    level(&client, &informers).await;
    let lists: Vec<usize> = informers
        .iter()
        .map(|i| i.count(|told| matches!(told, Told::Init)))
        .collect();

    masters.kill();
    // The other server takes writes meanwhile, which nobody watches.
    let other = super::support::client(&masters.other_kubeconfig()).await;
    let writer = Writer::start(other);
    writer.more(WRITES).await;
    written.extend(writer.stop().await);
    compact(masters.cluster()).await;
    masters.run().await;
    level(&client, &informers).await;
    let writer = Writer::start(client.clone());
    writer.more(WRITES).await;
    written.extend(writer.stop().await);
    level(&client, &informers).await;

    for (informer, lists) in informers.iter().zip(lists) {
        judge(&informer.told(), &written);
        let gone = informer.count(|told| matches!(told, Told::Gone));
        let again = informer.count(|told| matches!(told, Told::Init)) - lists;
        assert!(
            gone >= 1 && again >= 1,
            "{}: {gone} times 410, {again} lists",
            informer.what
        );
    }
}
