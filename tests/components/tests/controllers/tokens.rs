//! Tokens in secrets: of service accounts, and bootstrap tokens.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use controllers::{
    Context, Options, account_tokens, bootstrap_signer, bootstrap_token_cleaner,
    legacy_token_cleaner,
};
use futures_util::future::BoxFuture;
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use mainstay_auth::authn::SigningKey;
use mainstay_client::Events;
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Scene, Start, World, client_as, with_rights_of};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

pub(super) const TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";

/// With the key that the apiserver trusts, and the rights of kube-controller-manager.
fn filling(pki: &Path) -> impl Start + use<> {
    let key = std::fs::read(pki.join("sa.key")).unwrap();
    let key = Arc::new(SigningKey::from_pem(&key).unwrap());
    move |cx: Context| -> BoxFuture<'static, ()> {
        let options = Options {
            service_account_key: Some(key),
            root_ca: Some("an authority".to_owned()),
            ..Options::default()
        };
        let groups = ["system:authenticated"];
        let client = client_as(&cx.client, "system:kube-controller-manager", &groups);
        Box::pin(account_tokens(Context {
            events: Events::start(client.clone(), "under-test"),
            options: Arc::new(options),
            client,
            ..cx
        }))
    }
}

pub(super) fn token_secret(name: &str, account: &str) -> Value {
    json!({
        "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": account}},
        "type": "kubernetes.io/service-account-token",
    })
}

async fn has_token(scene: &Scene, name: &str) -> String {
    wait_until(&format!("{name} is filled"), DONE, async || {
        let secret = scene.api::<Secret>().get(name).await.unwrap();
        let data = secret.data.unwrap_or_default();
        let text = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok();
        let token = text("token").filter(|token| !token.is_empty())?;
        assert_eq!(text("namespace").as_deref(), Some(&*scene.namespace));
        assert_eq!(text("ca.crt").as_deref(), Some("an authority"));
        Some(token)
    })
    .await
}

async fn user_of(world: &World, token: &str) -> Option<String> {
    let review = json!({"metadata": {}, "spec": {"token": token}});
    let review: TokenReview = serde_json::from_value(review).unwrap();
    let api: Api<TokenReview> = Api::all(world.client.clone());
    let status = api
        .create(&PostParams::default(), &review)
        .await
        .unwrap()
        .status
        .unwrap();
    status
        .user
        .and_then(|user| user.username)
        .filter(|_| status.authenticated == Some(true))
}

async fn is_gone(scene: &Scene, name: &str) {
    wait_until(&format!("{name} is gone"), DONE, async || {
        let found = scene.api::<Secret>().get_opt(name).await.unwrap();
        found.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_given_a_token_that_lives_as_long_as_its_account() {
    let world = World::start().await;
    let start = filling(world.server.pki());
    let stays = world.scene().await;
    let _: Secret = stays.create(token_secret("stays", "default")).await;
    let writes = ended_after_every_write(&world, start, async |scene| {
        let _: Secret = scene.create(token_secret("s", "default")).await;
        let token = has_token(scene, "s").await;
        let expected = format!("system:serviceaccount:{}:default", scene.namespace);
        let known = wait_until("the token is known", DONE, async || {
            user_of(&world, &token).await
        });
        assert_eq!(known.await, expected);
        // Who cleans up must know that it is used.
        wait_until("its use is noted", DONE, async || {
            let secret = scene.api::<Secret>().get("s").await.unwrap();
            let day = secret
                .metadata
                .labels?
                .remove("kubernetes.io/legacy-token-last-used")?;
            Timestamp::now().to_string().starts_with(&day).then_some(())
        })
        .await;
        // One for an account that never was goes, and so does this one with its account.
        let _: Secret = scene.create(token_secret("stray", "nobody")).await;
        is_gone(scene, "stray").await;
        let now = DeleteParams::default();
        scene
            .api::<ServiceAccount>()
            .delete("default", &now)
            .await
            .unwrap();
        is_gone(scene, "s").await;
        wait_until("the token is nobody's", DONE, async || {
            user_of(&world, &token).await.is_none().then_some(())
        })
        .await;
    })
    .await;
    assert_eq!(writes, 3);
}

#[tokio::test]
async fn an_account_forgets_a_secret_that_is_deleted_and_a_token_is_made_once() {
    let world = World::start().await;
    let scene = world.scene().await;
    let start = filling(world.server.pki());
    let running = Instance::start(&world.config, start.clone(), Faults::default());
    let _: Secret = scene.create(token_secret("s", "default")).await;
    let _: Secret = scene.create(token_secret("stays", "default")).await;
    let token = has_token(&scene, "s").await;
    has_token(&scene, "stays").await;
    let named = json!({"secrets": [{"name": "s"}, {"name": "other"}]});
    let _: ServiceAccount = scene.patch("default", named).await;
    running.idle().await;
    running.faults.blind("secrets");
    // Another one sees the token go, and fills it in again; the one that is blind changes nothing.
    let other = Instance::start(&world.config, start.clone(), Faults::default());
    let _: Secret = scene.patch("s", json!({"data": {"token": null}})).await;
    let second = has_token(&scene, "s").await;
    running.faults.miss("secrets");
    running.idle().await;
    other.idle().await;
    assert_eq!(has_token(&scene, "s").await, second);
    // The same account and secret: what is signed by ECDSA differs each time.
    assert!(!token.is_empty());
    scene
        .api::<Secret>()
        .delete("s", &DeleteParams::default())
        .await
        .unwrap();
    wait_until("it is forgotten", DONE, async || {
        let account = scene.api::<ServiceAccount>().get("default").await.unwrap();
        let names: Vec<_> = account.secrets.unwrap_or_default();
        (names.len() == 1 && names[0].name.as_deref() == Some("other")).then_some(())
    })
    .await;
    drop((running, other));
    writes_nothing_more(&world, start).await;
}

fn signing(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(bootstrap_signer(with_rights_of("bootstrap-signer", cx)))
}

fn cleaning(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(bootstrap_token_cleaner(with_rights_of("token-cleaner", cx)))
}

pub(super) async fn in_namespace(world: &World, namespace: &str) -> Scene {
    let api: Api<Namespace> = Api::all(world.client.clone());
    let object = json!({"metadata": {"name": namespace}});
    let object = serde_json::from_value(object).unwrap();
    // The apiserver may have made it already.
    let _ = api.create(&PostParams::default(), &object).await;
    Scene {
        client: world.client.clone(),
        namespace: Arc::from(namespace),
    }
}

pub(super) fn bootstrap_token(id: &str, expiration: Option<Timestamp>) -> Value {
    let mut data = json!({
        "token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true",
    });
    if let Some(expiration) = expiration {
        data["expiration"] = expiration.to_string().into();
    }
    json!({
        "metadata": {"name": format!("bootstrap-token-{id}")},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": data,
    })
}

#[tokio::test]
async fn cluster_info_is_signed_by_the_tokens_there_are() {
    let world = World::start().await;
    let (system, public) = (
        in_namespace(&world, "kube-system").await,
        in_namespace(&world, "kube-public").await,
    );
    let info = json!({"metadata": {"name": "cluster-info"}, "data": {"kubeconfig": "first", "jws-kubeconfig-zzzzzz": "old"}});
    let _: ConfigMap = public.create(info).await;
    let round = std::sync::atomic::AtomicUsize::new(0);
    let signatures = async |ids: &[&str]| {
        wait_until(&format!("signed by {ids:?}"), DONE, async || {
            let map = public.api::<ConfigMap>().get("cluster-info").await.unwrap();
            let data = map.data.unwrap();
            let names = data
                .keys()
                .filter_map(|name| name.strip_prefix("jws-kubeconfig-"));
            (names.collect::<Vec<_>>() == ids).then(|| data.clone())
        })
        .await
    };
    ended_after_every_write(&world, signing, async |_| {
        let number = round.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let [one, two] = ["a", "b"].map(|letter| format!("{letter}{number:05}"));
        let _: Secret = system.create(bootstrap_token(&one, None)).await;
        let first = signatures(&[&one]).await;
        let later = Timestamp::now() + SignedDuration::from_secs(3_600);
        let _: Secret = system.create(bootstrap_token(&two, Some(later))).await;
        signatures(&[&one, &two]).await;
        let other = json!({"data": {"kubeconfig": format!("other {number}")}});
        let _: ConfigMap = public.patch("cluster-info", other).await;
        wait_until("it is signed anew", DONE, async || {
            let data = signatures(&[&one, &two]).await;
            let name = format!("jws-kubeconfig-{one}");
            (data[&name] != first[&name]).then_some(())
        })
        .await;
        for id in [&one, &two] {
            let name = format!("bootstrap-token-{id}");
            system
                .api::<Secret>()
                .delete(&name, &DeleteParams::default())
                .await
                .unwrap();
        }
        signatures(&[]).await;
    })
    .await;
}

#[tokio::test]
async fn bootstrap_tokens_go_when_their_time_is_over() {
    let world = World::start().await;
    let system = in_namespace(&world, "kube-system").await;
    let after = |seconds| Some(Timestamp::now() + SignedDuration::from_secs(seconds));
    for (id, expiration) in [
        ("aaaaaa", after(-60)),
        ("bbbbbb", after(2)),
        ("cccccc", after(600)),
        ("dddddd", None),
    ] {
        let _: Secret = system.create(bootstrap_token(id, expiration)).await;
    }
    let running = Instance::start(&world.config, cleaning, Faults::default());
    for id in ["aaaaaa", "bbbbbb"] {
        is_gone(&system, &format!("bootstrap-token-{id}")).await;
    }
    running.idle().await;
    assert_eq!(running.faults.writes(), 2);
    for id in ["cccccc", "dddddd"] {
        let name = format!("bootstrap-token-{id}");
        assert!(
            system
                .api::<Secret>()
                .get_opt(&name)
                .await
                .unwrap()
                .is_some(),
            "{id}"
        );
    }
    writes_nothing_more(&world, cleaning).await;
}

fn closing(cx: Context) -> BoxFuture<'static, ()> {
    let options = Options {
        legacy_service_account_token_clean_up_period: Duration::from_secs(1),
        ..Options::default()
    };
    let cx = with_rights_of("legacy-service-account-token-cleaner", cx);
    Box::pin(legacy_token_cleaner(Context {
        options: Arc::new(options),
        ..cx
    }))
}

#[tokio::test]
async fn a_token_nobody_uses_is_closed_and_then_deleted() {
    let world = World::start().await;
    let scene = world.scene().await;
    let system = in_namespace(&world, "kube-system").await;
    wait_until("uses are recorded", DONE, async || {
        system.api::<ConfigMap>().get_opt(TRACKING).await.unwrap()
    })
    .await;
    for name in ["unused", "mounted", "by-hand"] {
        let _: Secret = scene.create(token_secret(name, "default")).await;
    }
    let named = json!({"secrets": [{"name": "unused"}, {"name": "mounted"}]});
    let _: ServiceAccount = scene.patch("default", named).await;
    let pod = json!({
        "metadata": {"name": "p"},
        "spec": {
            "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "v", "secret": {"secretName": "mounted"}}],
        },
    });
    let _: k8s_openapi::api::core::v1::Pod = scene.create(pod).await;
    let label = async |name: &str| {
        let secret = scene.api::<Secret>().get(name).await.unwrap();
        secret
            .metadata
            .labels
            .unwrap_or_default()
            .remove("kubernetes.io/legacy-token-invalid-since")
    };
    // It is not known since when uses are recorded: since today.
    let early = Instance::start(&world.config, closing, Faults::default());
    early.idle().await;
    assert_eq!((early.faults.writes(), label("unused").await), (0, None));
    drop(early);
    let since = json!({"data": {"since": "2020-01-01"}});
    let _: ConfigMap = system.patch(TRACKING, since).await;
    wait_until("it is closed", DONE, async || {
        let running = Instance::start(&world.config, closing, Faults::default());
        running.idle().await;
        label("unused").await
    })
    .await;
    for name in ["mounted", "by-hand"] {
        assert_eq!(label(name).await, None, "{name}");
    }
    writes_nothing_more(&world, closing).await;
    let long =
        json!({"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2020-01-01"}}});
    let _: Secret = scene.patch("unused", long).await;
    let _running = Instance::start(&world.config, closing, Faults::default());
    is_gone(&scene, "unused").await;
    assert_eq!(scene.list::<Secret>().await.len(), 2);
}
