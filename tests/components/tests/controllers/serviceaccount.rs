//! What every namespace has: its default service account, and the cluster's root certificates.

use std::sync::Arc;

use controllers::{Context, root_ca, service_accounts};
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Scene, World};
use mainstay_tests::wait_until;
use serde_json::json;

use crate::DONE;

const CA: &str = "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n";
const MAP: &str = "kube-root-ca.crt";

fn start_accounts(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(service_accounts(cx))
}

fn start_root_ca(mut cx: Context) -> BoxFuture<'static, ()> {
    Arc::make_mut(&mut cx.options).root_ca = Some(CA.to_owned());
    Box::pin(root_ca(cx))
}

async fn has_account(scene: &Scene) -> ServiceAccount {
    wait_until("the account is there", DONE, async || {
        let account = scene.api::<ServiceAccount>().get_opt("default").await;
        account.unwrap()
    })
    .await
}

async fn has_map(scene: &Scene) -> ConfigMap {
    wait_until("the map is there and right", DONE, async || {
        let map = scene.api::<ConfigMap>().get_opt(MAP).await.unwrap()?;
        (map.data.as_ref()?.get("ca.crt")? == CA && map.data.as_ref()?.len() == 1).then_some(map)
    })
    .await
}

async fn deletes_account(scene: &Scene) -> Option<String> {
    let api = scene.api::<ServiceAccount>();
    let old = api.get("default").await.unwrap();
    api.delete("default", &DeleteParams::default())
        .await
        .unwrap();
    old.metadata.uid
}

#[tokio::test]
async fn every_namespace_has_an_account_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    // The scene has the account already.
    let writes = ended_after_every_write(&world, start_accounts, async |scene| {
        let old = deletes_account(scene).await;
        let first = has_account(scene).await;
        assert_ne!(first.metadata.uid, old);
        let again = deletes_account(scene).await;
        assert_ne!(has_account(scene).await.metadata.uid, again);
    })
    .await;
    assert!(writes >= 2, "{writes}");
}

#[tokio::test]
async fn every_namespace_has_the_root_certificates_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let writes = ended_after_every_write(&world, start_root_ca, async |scene| {
        let map = has_map(scene).await;
        assert!(
            map.metadata
                .annotations
                .unwrap()
                .contains_key("kubernetes.io/description")
        );
        let wrong = json!({"data": {"ca.crt": "mine", "more": "too"}});
        let _: ConfigMap = scene.patch(MAP, wrong).await;
        has_map(scene).await;
        let api = scene.api::<ConfigMap>();
        api.delete(MAP, &DeleteParams::default()).await.unwrap();
        has_map(scene).await;
    })
    .await;
    assert!(writes >= 3, "made, mended, made again: {writes}");
}

#[tokio::test]
async fn what_was_missed_is_found_in_the_next_list() {
    let world = World::start().await;
    let accounts = Instance::start(&world.config, start_accounts, Faults::default());
    let maps = Instance::start(&world.config, start_root_ca, Faults::default());
    let scene = world.scene().await;
    has_map(&scene).await;
    accounts.idle().await;
    for instance in [&accounts, &maps] {
        instance.faults.blind("serviceaccounts");
        instance.faults.blind("configmaps");
    }
    let old = deletes_account(&scene).await;
    let wrong = json!({"data": {"ca.crt": "mine"}});
    let _: ConfigMap = scene.patch(MAP, wrong).await;
    // A new namespace is seen; what is made in it is not.
    let other = world.scene().await;
    has_map(&other).await;
    accounts.idle().await;
    maps.idle().await;
    for instance in [&accounts, &maps] {
        instance.faults.miss("serviceaccounts");
        instance.faults.miss("configmaps");
    }
    assert_ne!(has_account(&scene).await.metadata.uid, old);
    has_map(&scene).await;
    drop((accounts, maps));
    writes_nothing_more(&world, start_accounts).await;
    writes_nothing_more(&world, start_root_ca).await;
}

#[tokio::test]
async fn nothing_is_made_in_a_namespace_that_is_being_deleted() {
    let world = World::start().await;
    let scene = world.scene().await;
    let maps = Instance::start(&world.config, start_root_ca, Faults::default());
    has_map(&scene).await;
    // Its controller does not run: it stays as it is.
    let api: Api<Namespace> = Api::all(world.client.clone());
    let name = &*scene.namespace;
    api.delete(name, &DeleteParams::default()).await.unwrap();
    let configs = scene.api::<ConfigMap>();
    configs.delete(MAP, &DeleteParams::default()).await.unwrap();
    let object = serde_json::from_value(json!({"metadata": {"name": "later"}})).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    let later = Scene {
        namespace: Arc::from("later"),
        ..scene.clone()
    };
    has_map(&later).await;
    maps.idle().await;
    assert!(configs.get_opt(MAP).await.unwrap().is_none());
    drop(maps);
    writes_nothing_more(&world, start_root_ca).await;
}
