//! Servers to test on, small objects, and reading with a deadline.

use bytes::Bytes;
use mainstay_apistore::client::Version;
use mainstay_apistore::{
    Attributes, CacheConfig, CacheError, Client, ClientConfig, Decode, EventKind, ResourceCache,
    RingLimits, Step, Watch, WatchItem, Watcher,
};
use mainstay_tests::{Cluster, Options, Server};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// When set, a missing server fails the tests instead of skipping them.
const REQUIRED: &str = "MAINSTAY_FAULTS_REQUIRED";
/// For anything that should happen soon, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const PREFIX: &str = "/registry/pods/";

/// Mainstay's store and Debian's etcd, whichever there are.
pub(crate) fn servers() -> Vec<Server> {
    let named = std::env::var_os("MAINSTAY_TEST_SERVER").map(PathBuf::from);
    let mut found = Vec::new();
    if named.is_some() || beside_this_test().is_some_and(|path| path.is_file()) {
        found.push(Server::under_test());
    }
    if named.as_deref() != Some(Path::new("/usr/bin/etcd")) {
        found.extend(Server::debian_etcd());
    }
    if found.is_empty() {
        let why = "there is no server to start: build kvstore, or run scripts/setup for etcd";
        assert!(
            std::env::var_os(REQUIRED).is_none(),
            "{REQUIRED} is set, but {why}"
        );
        // Past the capture of passing tests' output: a skip must be seen.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
    }
    found
}

fn beside_this_test() -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?;
    Some(executable.parent()?.parent()?.join("kvstore"))
}

/// One member of each kind of server, one after the other.
pub(crate) async fn on_each_server(test: impl AsyncFn(&mut Cluster, Client)) {
    for server in servers() {
        let mut cluster = start(server, 1).await;
        let client = client(&cluster);
        test(&mut cluster, client).await;
    }
}

pub(crate) async fn start(server: Server, members: usize) -> Cluster {
    let options = Options {
        server,
        tls: false,
        flags: Vec::new(),
    };
    Cluster::start_with(members, options).await
}

/// Whether the store answers progress requests in order.
pub(crate) fn has_progress(cluster: &Cluster) -> bool {
    let (major, minor, patch) = cluster.server().version();
    Version(major, minor, patch).progress_is_ordered()
}

pub(crate) fn client(cluster: &Cluster) -> Client {
    Client::new(&ClientConfig::new(cluster.endpoints())).expect("the endpoints are valid")
}

pub(crate) fn until() -> Instant {
    Instant::now() + SOON
}

pub(crate) fn key(name: &str) -> Bytes {
    format!("{PREFIX}{name}").into()
}

/// A value of the test's own form: `node;label=value;text`. An empty node is no index value.
pub(crate) fn decode() -> Decode {
    Arc::new(|_, value: &Bytes| {
        let text = std::str::from_utf8(value).ok()?;
        assert_ne!(text, "a decoder's mistake");
        let mut parts = text.split(';');
        let node = parts.next()?;
        let label = parts.next()?.split_once('=')?;
        let index = (!node.is_empty()).then_some(node);
        let attributes = Attributes::new([label], [("spec.nodeName", node)], index);
        Some((value.clone(), attributes))
    })
}

pub(crate) fn cache(client: &Client) -> ResourceCache {
    cache_with(client, RingLimits::default())
}

pub(crate) fn cache_with(client: &Client, ring: RingLimits) -> ResourceCache {
    let config = CacheConfig {
        prefix: PREFIX.into(),
        decode: decode(),
        ring,
    };
    ResourceCache::start(client.clone(), config)
}

/// The next report of a store watch that is not progress.
pub(crate) async fn next_item(watch: &mut Watch) -> WatchItem {
    loop {
        let item = timeout(SOON, watch.next()).await.expect("a report in time");
        match item.expect("the watch goes on") {
            WatchItem::Progress(_) => {}
            item => return item,
        }
    }
}

/// What a watcher shows, made from its events alone. Panics on an event that does not fit.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) objects: BTreeMap<Bytes, (i64, Bytes)>,
    pub(crate) revision: i64,
    pub(crate) events: usize,
}

impl Shown {
    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::InitialEnd(revision) | Step::Bookmark(revision) => {
                assert!(
                    *revision >= self.revision,
                    "{step:?} after {}",
                    self.revision
                );
                self.revision = *revision;
            }
            Step::Events(events) => {
                for event in events {
                    self.apply_event(event);
                }
            }
        }
    }

    fn apply_event(&mut self, event: &mainstay_apistore::Delivery) {
        self.events += 1;
        let (object, revision) = (event.object(), event.revision());
        let now = (revision, object.value.clone());
        let before = match event.kind() {
            EventKind::Deleted => self.objects.remove(&object.key),
            _ => self.objects.insert(object.key.clone(), now),
        };
        let known = event.kind() != EventKind::Added;
        assert_eq!(before.is_some(), known, "{event:?} does not fit");
        if let Some((old, value)) = before {
            assert!(revision > old, "{event:?} after {old}");
            if event.kind() == EventKind::Deleted {
                assert_eq!(value, object.value, "the last state in view is reported");
            }
        }
        self.revision = self.revision.max(revision);
    }

    /// Reads until something holds.
    pub(crate) async fn read_until(
        &mut self,
        watcher: &mut Watcher,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<(), CacheError> {
        while !holds(self) {
            let step = timeout(SOON, watcher.next()).await;
            self.apply(&step.unwrap_or_else(|_| panic!("not in time: {self:?}"))?);
        }
        Ok(())
    }
}

/// A way to a member that can be cut and mended, while others reach it directly.
#[derive(Debug)]
pub(crate) struct Detour {
    endpoint: String,
    open: tokio::sync::watch::Sender<bool>,
}

impl Detour {
    pub(crate) async fn to(endpoint: String) -> Self {
        let target = endpoint.trim_start_matches("http://").to_owned();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (open, state) = tokio::sync::watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(relay(near, target.clone(), state.clone()));
            }
        });
        Self {
            endpoint: format!("http://{address}"),
            open,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&ClientConfig::new([&self.endpoint])).expect("the endpoint is valid")
    }

    /// Breaks all connections and refuses new ones.
    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn relay(
    mut near: tokio::net::TcpStream,
    target: String,
    mut open: tokio::sync::watch::Receiver<bool>,
) {
    if !*open.borrow() {
        return;
    }
    let Ok(mut far) = tokio::net::TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        // Either end may close; that ends the relay.
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
