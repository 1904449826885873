//! Several instances of a component, of which one works: processes against real apiservers.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

#[path = "leader/credentials.rs"]
mod credentials;
#[path = "leader/health.rs"]
mod health;
#[path = "leader/silence.rs"]
mod silence;

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use mainstay_component_tests::{Program, World};
use mainstay_tests::apiserver::Apiserver;
use mainstay_tests::wait_until;

/// Longest time for anything to happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of the candidates' flags.
const LEASE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);

struct Election {
    world: World,
    other: Apiserver,
}

impl Election {
    async fn start() -> Self {
        let world = World::start().await;
        let other = Apiserver::start(&world.cluster, Some(world.server.pki())).await;
        Self { world, other }
    }

    fn candidate(&self, name: &str) -> Program {
        let url = |server: &Apiserver| format!("https://127.0.0.1:{}", server.port());
        let (first, second) = (url(&self.world.server), url(&self.other));
        Program::start(
            "candidate",
            &[
                format!("--kubeconfig={}", self.world.server.kubeconfig().display()),
                format!("--master={first},{second}"),
                format!("--writes-to={name}"),
                format!("--leader-elect-lease-duration={}s", LEASE.as_secs()),
                "--leader-elect-renew-deadline=7s".to_owned(),
                format!("--leader-elect-retry-period={}s", RETRY.as_secs()),
            ],
        )
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.world.client.clone(), "kube-system")
    }

    async fn lease(&self) -> Option<Lease> {
        self.leases().get_opt("candidate").await.unwrap()
    }

    /// All changes of the lease from now on.
    async fn follow(&self) -> BoxStream<'static, Lease> {
        let list = self.leases().list(&ListParams::default()).await.unwrap();
        let from = list.metadata.resource_version.unwrap();
        let params = WatchParams::default().fields("metadata.name=candidate");
        let watch = self.leases().watch(&params, &from).await.unwrap();
        let changes = watch.filter_map(async |event| match event.unwrap() {
            WatchEvent::Added(lease) | WatchEvent::Modified(lease) => Some(lease),
            _ => None,
        });
        changes.boxed()
    }

    /// How often a candidate has written, and the revision of its last write.
    async fn written(&self, name: &str) -> (u64, u64) {
        let maps: Api<ConfigMap> = Api::namespaced(self.world.client.clone(), "default");
        let Some(map) = maps.get_opt(name).await.unwrap() else {
            return (0, 0);
        };
        let data = map.data.unwrap_or_default();
        let number = data.get("number").map_or(0, |n| n.parse().unwrap());
        (number, revision(map.metadata.resource_version.as_ref()))
    }

    async fn writes(&self, name: &str, program: &Program) {
        let (before, _) = self.written(name).await;
        wait_until(&format!("{name} writes"), PATIENCE, async || {
            let (now, _) = self.written(name).await;
            (now > before + 10).then_some(())
        })
        .await;
        assert!(program.log().contains("elected"), "{}", program.log());
    }
}

fn revision(text: Option<&String>) -> u64 {
    text.unwrap().parse().unwrap()
}

fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref().unwrap();
    spec.holder_identity.as_deref().unwrap_or_default()
}

/// The next change that `wanted` likes.
async fn next(changes: &mut BoxStream<'static, Lease>, wanted: impl Fn(&Lease) -> bool) -> Lease {
    let found = async {
        loop {
            let lease = changes.next().await.expect("the watch lasts");
            if wanted(&lease) {
                return lease;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .expect("the lease changes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_writes_nothing_when_it_wakes_and_a_clean_stop_hands_over() {
    let election = Election::start().await;
    let mut changes = election.follow().await;
    let mut a = election.candidate("a");
    election.writes("a", &a).await;
    let first = holder(&election.lease().await.unwrap()).to_owned();

    // The leader is stopped; the other one waits for the lease to run out.
    let mut b = election.candidate("b");
    wait_until("b has seen who leads", PATIENCE, async || {
        b.log().contains("another instance leads").then_some(())
    })
    .await;
    a.pause();
    let taken = next(&mut changes, |lease| holder(lease) != first).await;
    let spec = taken.spec.as_ref().unwrap();
    assert!(!holder(&taken).is_empty());
    assert_eq!(spec.lease_transitions, Some(1));
    assert_eq!(spec.acquire_time, spec.renew_time);
    let second = holder(&taken).to_owned();
    let since = revision(taken.metadata.resource_version.as_ref());
    election.writes("b", &b).await;

    // It wakes, is refused by itself, and ends.
    a.resume();
    assert_eq!(a.ended(PATIENCE).await, Some(1), "{}", a.log());
    let (_, last) = election.written("a").await;
    assert!(
        last < since,
        "a wrote at revision {last} when b had led since {since}"
    );
    let log = a.log();
    assert!(
        log.contains("leadership lost: another instance has it"),
        "{log}"
    );
    assert!(b.runs());
    assert_eq!(holder(&election.lease().await.unwrap()), second);

    // A clean stop hands over long before the lease runs out.
    let c = election.candidate("c");
    wait_until("c has seen who leads", PATIENCE, async || {
        c.log().contains("another instance leads").then_some(())
    })
    .await;
    assert_eq!(b.terminate().await, Some(0), "{}", b.log());
    let released = next(&mut changes, |lease| holder(lease).is_empty()).await;
    let spec = released.spec.as_ref().unwrap();
    assert_eq!(spec.lease_duration_seconds, Some(1));
    assert_eq!(spec.lease_transitions, Some(1));
    let third = next(&mut changes, |lease| !holder(lease).is_empty()).await;
    let taken = third.spec.as_ref().unwrap();
    assert_eq!(taken.lease_transitions, Some(2));
    let gap = taken
        .acquire_time
        .as_ref()
        .unwrap()
        .0
        .duration_since(spec.renew_time.as_ref().unwrap().0);
    let gap = Duration::try_from(gap).unwrap();
    assert!(
        gap < RETRY.mul_f64(2.2) + Duration::from_secs(2),
        "it took {gap:?}"
    );
    let (_, last) = election.written("b").await;
    assert!(last < revision(released.metadata.resource_version.as_ref()));

    // Who led when is told in events.
    let events: Api<Event> = Api::namespaced(election.world.client.clone(), "kube-system");
    let told = format!("{second} became leader");
    wait_until("the event is there", PATIENCE, async || {
        let events = events.list(&ListParams::default()).await.unwrap();
        let is = |event: &Event| {
            event.reason.as_deref() == Some("LeaderElection")
                && event.message.as_deref() == Some(told.as_str())
                && event.involved_object.kind.as_deref() == Some("Lease")
        };
        events.items.iter().any(is).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_an_apiserver_costs_no_leadership_while_another_one_answers() {
    let mut election = Election::start().await;
    // Killed, it refuses connections; stopped, it would keep them and say nothing.
    let mut a = election.candidate("a");
    election.writes("a", &a).await;
    let before = election.lease().await.unwrap();
    election.world.server.kill();
    let port = election.other.port();
    let mut config = election.world.config.clone();
    config.cluster_url = format!("https://127.0.0.1:{port}").parse().unwrap();
    election.world.client = kube::Client::try_from(config).unwrap();
    let killed = Timestamp::now();
    wait_until(
        "the lease is renewed for longer than it lasts",
        PATIENCE,
        async || {
            let lease = election.lease().await?;
            let renewed = lease.spec.as_ref()?.renew_time.as_ref()?.0;
            let since = Duration::try_from(renewed.duration_since(killed)).unwrap_or_default();
            (since > LEASE).then_some(())
        },
    )
    .await;
    let after = election.lease().await.unwrap();
    assert_eq!(holder(&after), holder(&before));
    assert_eq!(after.spec.unwrap().lease_transitions, Some(0));
    election.writes("a", &a).await;
    assert!(a.runs());
    assert!(a.log().contains("another one is asked"), "{}", a.log());
    assert_eq!(a.terminate().await, Some(0), "{}", a.log());
}
