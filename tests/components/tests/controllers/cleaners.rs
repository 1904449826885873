//! Controllers that delete what is due: ended between their writes, blind, and with what they decided by grown old.

use std::sync::Arc;
use std::time::Duration;

use controllers::{
    Context, Options, bootstrap_token_cleaner, clean_certificates, legacy_token_cleaner,
    ttl_after_finished,
};
use futures_util::future::BoxFuture;
use http::Method;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{Patch, PatchParams};
use mainstay_component_tests::sieve::ended_after_every_write_and;
use mainstay_component_tests::{Faults, Hold, Instance, Scene, World, with_rights_of};
use mainstay_tests::wait_until;
use serde_json::json;

use super::certificates::ask;
use super::tokens::{TRACKING, bootstrap_token, in_namespace, token_secret};
use crate::DONE;

const CLOSED: &str = "kubernetes.io/legacy-token-invalid-since";
const USED: &str = "kubernetes.io/legacy-token-last-used";

/// What one controller cleans up.
trait Cleaned: 'static {
    /// Plural name of the kind.
    const KIND: &str;

    fn start(cx: Context) -> BoxFuture<'static, ()>;

    /// Makes an object that is to go at once, or not for long.
    async fn make(&self, scene: &Scene, name: &str, due: bool);

    /// An object that was to go is to stay.
    async fn spare(&self, scene: &Scene, name: &str);

    async fn meta(&self, scene: &Scene, name: &str) -> Option<ObjectMeta>;

    /// Its resourceVersion, unless it goes.
    async fn version(&self, scene: &Scene, name: &str) -> Option<String> {
        let meta = self.meta(scene, name).await?;
        meta.resource_version
            .filter(|_| meta.deletion_timestamp.is_none())
    }

    async fn goes(&self, scene: &Scene, name: &str) {
        wait_until(&format!("{name} goes"), DONE, async || {
            self.version(scene, name).await.is_none().then_some(())
        })
        .await;
    }
}

fn now_and(seconds: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(seconds)
}

async fn cleans_under_faults<C: Cleaned>(world: &World, cleaned: C) {
    let quiet = world.scene().await;
    cleaned.make(&quiet, "stays", false).await;
    let stays = cleaned.version(&quiet, "stays").await;
    assert!(stays.is_some());
    let untouched = async || {
        assert_eq!(cleaned.version(&quiet, "stays").await, stays);
    };
    ends_after_every_write(world, &cleaned, &untouched).await;
    sees_nothing(world, &cleaned).await;
    decides_by_what_is_old(world, &cleaned).await;
    untouched().await;
}

async fn ends_after_every_write<C: Cleaned>(
    world: &World,
    cleaned: &C,
    untouched: &impl AsyncFn(),
) {
    let scenario = async |scene: &Scene| {
        for name in ["one", "two"] {
            cleaned.make(scene, name, true).await;
        }
        for name in ["one", "two"] {
            cleaned.goes(scene, name).await;
        }
    };
    // Who starts next does what is new, and nothing else.
    let settled = async || {
        let scene = world.scene().await;
        let _next = Instance::start(&world.config, C::start, Faults::default());
        cleaned.make(&scene, "next", true).await;
        cleaned.goes(&scene, "next").await;
        untouched().await;
    };
    let writes = ended_after_every_write_and(world, C::start, scenario, settled).await;
    assert!(writes >= 2, "{writes}");
}

async fn sees_nothing<C: Cleaned>(world: &World, cleaned: &C) {
    let scene = world.scene().await;
    let running = Instance::start(&world.config, C::start, Faults::default());
    cleaned.make(&scene, "seen", true).await;
    cleaned.goes(&scene, "seen").await;
    running.faults.blind(C::KIND);
    cleaned.make(&scene, "unseen", true).await;
    running.faults.miss(C::KIND);
    cleaned.goes(&scene, "unseen").await;
}

/// The server that it has its events from lags: the object has changed by the time of the deletion.
async fn decides_by_what_is_old<C: Cleaned>(world: &World, cleaned: &C) {
    let scene = world.scene().await;
    let hold = Hold::of(Method::DELETE, &format!("/{}/", C::KIND));
    let held = hold.clone();
    let _running = Instance::start(
        &world.config,
        move |cx| C::start(held.on(cx)),
        Faults::default(),
    );
    cleaned.make(&scene, "spared", true).await;
    hold.held().await;
    cleaned.spare(&scene, "spared").await;
    assert_eq!(hold.let_go().await, 409);
    cleaned.make(&scene, "last", true).await;
    cleaned.goes(&scene, "last").await;
    assert!(cleaned.version(&scene, "spared").await.is_some());
}

/// In `kube-system`; their names are six letters and figures.
struct BootstrapTokens(Scene);

impl BootstrapTokens {
    fn id(scene: &Scene, name: &str) -> String {
        let number = scene.namespace.rsplit('-').next().unwrap();
        format!("{}{number:0>3}", &name[..3])
    }
}

impl Cleaned for BootstrapTokens {
    const KIND: &str = "secrets";

    fn start(cx: Context) -> BoxFuture<'static, ()> {
        Box::pin(bootstrap_token_cleaner(with_rights_of("token-cleaner", cx)))
    }

    async fn make(&self, scene: &Scene, name: &str, due: bool) {
        let end = now_and(if due { -60 } else { 6_000 });
        let token = bootstrap_token(&Self::id(scene, name), Some(end));
        let _: Secret = self.0.create(token).await;
    }

    async fn spare(&self, scene: &Scene, name: &str) {
        let name = format!("bootstrap-token-{}", Self::id(scene, name));
        let longer = json!({"stringData": {"expiration": now_and(6_000).to_string()}});
        let _: Secret = self.0.patch(&name, longer).await;
    }

    async fn meta(&self, scene: &Scene, name: &str) -> Option<ObjectMeta> {
        let name = format!("bootstrap-token-{}", Self::id(scene, name));
        let found = self.0.api::<Secret>().get_opt(&name).await.unwrap();
        found.map(|found| found.metadata)
    }
}

#[tokio::test]
async fn a_bootstrap_token_goes_at_its_end_and_not_when_it_was_given_more_time() {
    let world = World::start().await;
    let system = in_namespace(&world, "kube-system").await;
    cleans_under_faults(&world, BootstrapTokens(system)).await;
}

struct Requests;

impl Requests {
    fn name(scene: &Scene, name: &str) -> String {
        format!("{}-{name}", scene.namespace)
    }

    async fn denied_at(scene: &Scene, name: &str, at: Timestamp) {
        let api: Api<CertificateSigningRequest> = Api::all(scene.client.clone());
        let patch = Patch::Merge(json!({"status": {"conditions": [{
            "type": "Denied", "status": "True", "reason": "Test", "lastUpdateTime": at.to_string(),
        }]}}));
        let (name, params) = (Self::name(scene, name), PatchParams::default());
        let _: CertificateSigningRequest =
            api.patch_approval(&name, &params, &patch).await.unwrap();
    }
}

impl Cleaned for Requests {
    const KIND: &str = "certificatesigningrequests";

    fn start(cx: Context) -> BoxFuture<'static, ()> {
        let cx = with_rights_of("certificate-controller", cx);
        Box::pin(clean_certificates(cx))
    }

    async fn make(&self, scene: &Scene, name: &str, due: bool) {
        let whole = Self::name(scene, name);
        let signer = "kubernetes.io/kube-apiserver-client";
        ask(
            &scene.client,
            &whole,
            ("people", "jane"),
            signer,
            &["client auth"],
        )
        .await;
        Self::denied_at(scene, name, now_and(if due { -3_700 } else { 0 })).await;
    }

    async fn spare(&self, scene: &Scene, name: &str) {
        Self::denied_at(scene, name, now_and(0)).await;
    }

    async fn meta(&self, scene: &Scene, name: &str) -> Option<ObjectMeta> {
        let api: Api<CertificateSigningRequest> = Api::all(scene.client.clone());
        let found = api.get_opt(&Self::name(scene, name)).await.unwrap();
        found.map(|found| found.metadata)
    }
}

#[tokio::test]
async fn an_old_request_goes_and_not_when_it_was_answered_anew() {
    let world = World::start().await;
    cleans_under_faults(&world, Requests).await;
}

struct FinishedJobs;

impl Cleaned for FinishedJobs {
    const KIND: &str = "jobs";

    fn start(cx: Context) -> BoxFuture<'static, ()> {
        let cx = with_rights_of("ttl-after-finished-controller", cx);
        Box::pin(ttl_after_finished(cx))
    }

    async fn make(&self, scene: &Scene, name: &str, due: bool) {
        let job = json!({"metadata": {"name": name}, "spec": {
            "ttlSecondsAfterFinished": if due { 60 } else { 6_000 },
            "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}},
        }});
        let _: Job = scene.create(job).await;
        let ended = json!({"status": {"conditions": [{
            "type": "Failed", "status": "True", "lastTransitionTime": now_and(-600).to_string(),
        }]}});
        let (patch, params) = (Patch::Merge(ended), PatchParams::default());
        let jobs = scene.api::<Job>();
        jobs.patch_status(name, &params, &patch).await.unwrap();
    }

    async fn spare(&self, scene: &Scene, name: &str) {
        let longer = json!({"spec": {"ttlSecondsAfterFinished": 6_000}});
        let _: Job = scene.patch(name, longer).await;
    }

    async fn meta(&self, scene: &Scene, name: &str) -> Option<ObjectMeta> {
        let found = scene.api::<Job>().get_opt(name).await.unwrap();
        found.map(|found| found.metadata)
    }
}

#[tokio::test]
async fn a_finished_job_goes_after_its_time_and_not_when_that_was_made_longer() {
    let world = World::start().await;
    cleans_under_faults(&world, FinishedJobs).await;
}

struct LegacyTokens;

impl LegacyTokens {
    /// Uses of tokens have been recorded for long.
    async fn tracked(world: &World) -> Self {
        let system = in_namespace(world, "kube-system").await;
        wait_until("uses are recorded", DONE, async || {
            system.api::<ConfigMap>().get_opt(TRACKING).await.unwrap()
        })
        .await;
        let since = json!({"data": {"since": "2020-01-01"}});
        let _: ConfigMap = system.patch(TRACKING, since).await;
        Self
    }

    /// One that was closed long ago, or never.
    async fn unused(&self, scene: &Scene, name: &str, closed: bool) {
        let mut secret = token_secret(name, "default");
        if closed {
            secret["metadata"]["labels"] = json!({CLOSED: "2020-01-01"});
        }
        let _: Secret = scene.create(secret).await;
        let patch = Patch::Strategic(json!({"secrets": [{"name": name}]}));
        let params = PatchParams::default();
        let accounts = scene.api::<ServiceAccount>();
        accounts.patch("default", &params, &patch).await.unwrap();
    }
}

impl Cleaned for LegacyTokens {
    const KIND: &str = "secrets";

    fn start(cx: Context) -> BoxFuture<'static, ()> {
        let options = Options {
            legacy_service_account_token_clean_up_period: Duration::from_secs(1),
            legacy_service_account_token_period: Duration::from_millis(50),
            ..Options::default()
        };
        let cx = with_rights_of("legacy-service-account-token-cleaner", cx);
        Box::pin(legacy_token_cleaner(Context {
            options: Arc::new(options),
            ..cx
        }))
    }

    async fn make(&self, scene: &Scene, name: &str, due: bool) {
        match due {
            true => self.unused(scene, name, true).await,
            // No account names it: it was made by hand.
            false => drop(scene.create::<Secret>(token_secret(name, "default")).await),
        }
    }

    async fn spare(&self, scene: &Scene, name: &str) {
        let used = json!({"metadata": {"labels": {USED: "2999-01-01"}}});
        let _: Secret = scene.patch(name, used).await;
    }

    async fn meta(&self, scene: &Scene, name: &str) -> Option<ObjectMeta> {
        let found = scene.api::<Secret>().get_opt(name).await.unwrap();
        found.map(|found| found.metadata)
    }
}

#[tokio::test]
async fn a_closed_token_goes_and_not_when_it_was_used_again() {
    let world = World::start().await;
    let tokens = LegacyTokens::tracked(&world).await;
    cleans_under_faults(&world, tokens).await;
}

#[tokio::test]
async fn a_token_was_closed_although_it_had_been_used_meanwhile() {
    let world = World::start().await;
    let tokens = LegacyTokens::tracked(&world).await;
    let scene = world.scene().await;
    let hold = Hold::of(Method::PATCH, "/secrets/used");
    let held = hold.clone();
    let start = move |cx| LegacyTokens::start(held.on(cx));
    let _running = Instance::start(&world.config, start, Faults::default());
    tokens.unused(&scene, "used", false).await;
    hold.held().await;
    tokens.spare(&scene, "used").await;
    assert_eq!(hold.let_go().await, 409);
    // Whoever is not used is closed, again and again looked at with the other.
    tokens.unused(&scene, "unused", false).await;
    let label = async |name: &str| {
        let meta = tokens.meta(&scene, name).await.unwrap();
        meta.labels.unwrap_or_default().remove(CLOSED)
    };
    wait_until("it is closed", DONE, async || label("unused").await).await;
    assert_eq!(label("used").await, None);
}
