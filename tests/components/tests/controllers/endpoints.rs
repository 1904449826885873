//! Endpoint slices and endpoints.

use controllers::{Context, endpoint_slices, endpoints};
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams};
use mainstay_component_tests::sieve::ended_after_every_write;
use mainstay_component_tests::{Scene, World};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

fn start_slices(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(endpoint_slices(cx))
}

fn start_endpoints(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(endpoints(cx))
}

async fn service(scene: &Scene) {
    let manifest = json!({
        "metadata": {"name": "web", "labels": {"team": "a"}},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    });
    let _: Service = scene.create(manifest).await;
}

async fn pod(scene: &Scene, name: &str, address: &str, ready: bool) -> Pod {
    let manifest = json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{
            "name": "c", "image": "busybox", "ports": [{"name": "http", "containerPort": 8080}],
        }]},
    });
    let pod: Pod = scene.create(manifest).await;
    scene.runs(&pod, ready).await;
    let patch = Patch::Merge(json!({"status": {"podIP": address, "podIPs": [{"ip": address}]}}));
    let params = PatchParams::default();
    scene
        .api::<Pod>()
        .patch_status(name, &params, &patch)
        .await
        .unwrap();
    pod
}

/// Address and readiness of all endpoints of all slices, in order.
async fn told(scene: &Scene) -> Vec<(String, bool)> {
    let mut told = Vec::new();
    for slice in scene.list::<EndpointSlice>().await {
        for endpoint in slice.endpoints.unwrap_or_default() {
            let ready = endpoint.conditions.and_then(|c| c.ready).unwrap_or(false);
            told.push((endpoint.addresses[0].clone(), ready));
        }
    }
    told.sort();
    told
}

async fn tells(scene: &Scene, expected: &[(&str, bool)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(ip, ready)| ((*ip).to_owned(), *ready))
        .collect();
    wait_until(&format!("slices say {expected:?}"), DONE, async || {
        (told(scene).await == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn slices_follow_pods_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    let writes = ended_after_every_write(&world, start_slices, async |scene| {
        service(scene).await;
        wait_until("an empty slice", DONE, async || {
            (scene.list::<EndpointSlice>().await.len() == 1).then_some(())
        })
        .await;
        let one = pod(scene, "one", "10.1.0.1", true).await;
        pod(scene, "two", "10.1.0.2", false).await;
        tells(scene, &[("10.1.0.1", true), ("10.1.0.2", false)]).await;
        scene.runs(&one, false).await;
        tells(scene, &[("10.1.0.1", false), ("10.1.0.2", false)]).await;
        let slices = scene.list::<EndpointSlice>().await;
        assert_eq!(slices.len(), 1, "one slice was enough all along");
        let slice = serde_json::to_value(&slices[0]).unwrap();
        assert_eq!(slice["ports"][0]["port"], 8080);
        assert_eq!(slice["metadata"]["labels"]["team"], "a");
        let now = DeleteParams::default().grace_period(0);
        scene.api::<Pod>().delete("one", &now).await.unwrap();
        tells(scene, &[("10.1.0.2", false)]).await;
        scene.api::<Service>().delete("web", &now).await.unwrap();
        wait_until("the slice goes", DONE, async || {
            scene.list::<EndpointSlice>().await.is_empty().then_some(())
        })
        .await;
        // Something to look at for whoever comes after.
        let other = json!({"metadata": {"name": "other"}, "spec": {"selector": {"app": "none"},
            "ports": [{"port": 1}]}});
        let _: Service = scene.create(other).await;
        wait_until("an empty slice", DONE, async || {
            (scene.list::<EndpointSlice>().await.len() == 1).then_some(())
        })
        .await;
    })
    .await;
    assert!(writes >= 5, "{writes}");
}

#[tokio::test]
async fn endpoints_follow_pods_whatever_write_the_controller_ends_after() {
    let world = World::start().await;
    ended_after_every_write(&world, start_endpoints, async |scene| {
        service(scene).await;
        pod(scene, "one", "10.1.0.1", true).await;
        pod(scene, "two", "10.1.0.2", false).await;
        let expected = |subsets: &Value| {
            let subset = &subsets[0];
            subset["addresses"][0]["ip"] == "10.1.0.1"
                && subset["notReadyAddresses"][0]["ip"] == "10.1.0.2"
                && subset["ports"] == json!([{"name": "http", "port": 8080, "protocol": "TCP"}])
        };
        wait_until("both are told", DONE, async || {
            let endpoints = scene.api::<Endpoints>().get_opt("web").await.unwrap()?;
            let subsets = serde_json::to_value(endpoints.subsets).unwrap();
            expected(&subsets).then_some(())
        })
        .await;
    })
    .await;
}
