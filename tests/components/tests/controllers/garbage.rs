//! What goes when its owners go.

use controllers::{Context, deployments, garbage_collector, replicasets};
use futures_util::future::BoxFuture;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod, Secret};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Resource};
use mainstay_component_tests::sieve::ended_after_every_write_and;
use mainstay_component_tests::{Faults, Instance, Scene, World};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

fn start(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(garbage_collector(cx))
}

fn start_deployments(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(deployments(cx))
}

fn start_sets(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(replicasets(cx))
}

/// A reference to an object, as its controllers give it.
fn owned_by<K: Resource<DynamicType = ()>>(owner: &K) -> Value {
    json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "name": owner.meta().name,
        "uid": owner.meta().uid, "blockOwnerDeletion": true,
    })
}

fn absent() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "absent",
        "uid": "8f5b1c1e-0000-4000-8000-000000000001"})
}

async fn makes(scene: &Scene, name: &str, owners: Value) -> ConfigMap {
    let object = json!({"metadata": {"name": name, "ownerReferences": owners}});
    scene.create(object).await
}

async fn makes_secret(scene: &Scene, name: &str, owners: Value) -> Secret {
    let object = json!({"metadata": {"name": name, "ownerReferences": owners}});
    scene.create(object).await
}

async fn map(scene: &Scene, name: &str) -> Option<ConfigMap> {
    scene.api::<ConfigMap>().get_opt(name).await.unwrap()
}

fn owners(object: &ConfigMap) -> &[OwnerReference] {
    let owners = object.metadata.owner_references.as_deref();
    owners.unwrap_or_default()
}

async fn goes(scene: &Scene, name: &str) {
    let what = format!("{name} is gone");
    wait_until(&what, DONE, async || {
        map(scene, name).await.is_none().then_some(())
    })
    .await;
}

async fn has_written(instance: &Instance, writes: usize) {
    // What they did can be seen before they are answered.
    wait_until("the last answer", DONE, async || {
        (instance.faults.writes() >= writes).then_some(())
    })
    .await;
    assert_eq!(
        instance.faults.writes(),
        writes,
        "writes to what is settled"
    );
}

/// All that was there is looked at once garbage that came later is gone. Nothing else is written meanwhile.
async fn leaves_the_rest(world: &World) {
    let instance = Instance::start(&world.config, start, Faults::default());
    let scene = world.scene().await;
    makes(&scene, "garbage", json!([absent()])).await;
    goes(&scene, "garbage").await;
    has_written(&instance, 1).await;
}

/// An object, one that it owns, and two that this one owns.
async fn tree(scene: &Scene, name: &str) -> ConfigMap {
    let root = makes(scene, name, json!([])).await;
    let middle = makes(scene, &format!("{name}-middle"), json!([owned_by(&root)])).await;
    for leaf in ["one", "two"] {
        let name = format!("{name}-{leaf}");
        makes_secret(scene, &name, json!([owned_by(&middle)])).await;
    }
    root
}

async fn leaves(scene: &Scene, name: &str) -> usize {
    let secrets = scene.list::<Secret>().await;
    let own = secrets.iter().filter_map(|s| s.metadata.name.as_deref());
    own.filter(|own| own.starts_with(name)).count()
}

#[tokio::test]
async fn trees_go_in_all_three_ways_whatever_write_the_collector_ends_after() {
    let world = World::start().await;
    let scenario = async |scene: &Scene| {
        for name in ["back", "fore", "orphan"] {
            tree(scene, name).await;
        }
        let api = scene.api::<ConfigMap>();
        api.delete("back", &DeleteParams::background())
            .await
            .unwrap();
        assert!(map(scene, "back").await.is_none(), "at once");
        goes(scene, "back-middle").await;
        wait_until("the leaves are gone", DONE, async || {
            (leaves(scene, "back").await == 0).then_some(())
        })
        .await;
        api.delete("fore", &DeleteParams::foreground())
            .await
            .unwrap();
        wait_until("the tree is gone, leaves first", DONE, async || {
            let root = map(scene, "fore").await;
            let middle = map(scene, "fore-middle").await;
            let leaves = leaves(scene, "fore").await;
            // In the order in which they were asked for.
            assert!(
                root.is_some() || middle.is_none(),
                "the middle outlives the root"
            );
            assert!(middle.is_some() || leaves == 0, "leaves outlive the middle");
            root.is_none().then_some(())
        })
        .await;
        api.delete("orphan", &DeleteParams::orphan()).await.unwrap();
        goes(scene, "orphan").await;
        let middle = map(scene, "orphan-middle").await.unwrap();
        assert!(owners(&middle).is_empty() && middle.metadata.deletion_timestamp.is_none());
        assert_eq!(leaves(scene, "orphan").await, 2);
    };
    let settled = async || leaves_the_rest(&world).await;
    let writes = ended_after_every_write_and(&world, start, scenario, settled).await;
    assert!(writes >= 10, "three, five and two: {writes}");
}

#[tokio::test]
async fn a_deployment_goes_with_its_pods_or_without_them() {
    let world = World::start().await;
    let scene = world.scene().await;
    let _running = (
        Instance::start(&world.config, start_deployments, Faults::default()),
        Instance::start(&world.config, start_sets, Faults::default()),
        Instance::start(&world.config, start, Faults::default()),
    );
    let deployments = scene.api::<Deployment>();
    let made = async |count: usize| {
        let labels = json!({"app": "web"});
        let manifest = json!({"metadata": {"name": "web"}, "spec": {
            "replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "busybox"}]}}}});
        let _: Deployment = scene.create(manifest).await;
        wait_until("the pods are there", DONE, async || {
            let pods = scene.live_pods().await;
            (pods.len() == count).then_some(pods)
        })
        .await
    };
    let all_gone = async || {
        wait_until("all is gone", DONE, async || {
            let counts = (
                scene.list::<Deployment>().await.len(),
                scene.list::<ReplicaSet>().await.len(),
                scene.list::<Pod>().await.len(),
            );
            (counts == (0, 0, 0)).then_some(())
        })
        .await;
    };
    made(2).await;
    deployments
        .delete("web", &DeleteParams::background())
        .await
        .unwrap();
    all_gone().await;
    // In the foreground: one pod is held up, and holds up all above it.
    let pods = made(2).await;
    let name = pods[0].metadata.name.as_deref().unwrap();
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    let _: Pod = scene.patch(name, hold).await;
    deployments
        .delete("web", &DeleteParams::foreground())
        .await
        .unwrap();
    wait_until("only the held pod is left", DONE, async || {
        (scene.list::<Pod>().await.len() == 1).then_some(())
    })
    .await;
    let set = scene.list::<ReplicaSet>().await.remove(0);
    assert!(set.metadata.deletion_timestamp.is_some());
    let deployment = deployments.get("web").await.unwrap();
    assert!(deployment.metadata.deletion_timestamp.is_some());
    let free = json!({"metadata": {"finalizers": null}});
    let _: Pod = scene.patch(name, free).await;
    all_gone().await;
    // Without its sets, which keep their pods; another one adopts them.
    let before = made(2).await;
    deployments
        .delete("web", &DeleteParams::orphan())
        .await
        .unwrap();
    wait_until("the deployment is gone", DONE, async || {
        deployments
            .get_opt("web")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    let set = scene.list::<ReplicaSet>().await.remove(0);
    assert!(set.metadata.owner_references.is_none());
    let after = made(2).await;
    let uids = |pods: &[Pod]| {
        let mut uids: Vec<_> = pods.iter().filter_map(|p| p.metadata.uid.clone()).collect();
        uids.sort();
        uids
    };
    assert_eq!(uids(&before), uids(&after));
    wait_until("the set is adopted", DONE, async || {
        let sets = scene.list::<ReplicaSet>().await;
        assert_eq!(sets.len(), 1);
        sets[0].metadata.owner_references.is_some().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_has_no_owner_that_is_there_goes() {
    let world = World::start().await;
    let scene = world.scene().await;
    let other = world.scene().await;
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    let role = async |name: &str, owners: Value| {
        let role = json!({"metadata": {"name": name, "ownerReferences": owners}, "rules": []});
        let role: ClusterRole = serde_json::from_value(role).unwrap();
        roles.create(&PostParams::default(), &role).await.unwrap()
    };
    let alive = makes(&scene, "alive", json!([])).await;
    let foreign = makes(&other, "foreign", json!([])).await;
    let above = role("above", json!([])).await;
    let own = owned_by(&alive);
    let with = |name: &str, value: &str| {
        let mut reference = own.clone();
        reference[name] = json!(value);
        reference
    };
    let wrong_uid = with("uid", "8f5b1c1e-0000-4000-8000-000000000002");
    let wrong_name = with("name", "another");
    let wrong_kind = with("kind", "Secret");
    let unknown_kind = json!({"apiVersion": "example.com/v1", "kind": "Widget", "name": "w",
        "uid": "8f5b1c1e-0000-4000-8000-000000000003"});
    let stay = [
        ("own", json!([own])),
        ("of-cluster", json!([owned_by(&above)])),
        ("of-nothing", json!([])),
        ("one-of-two", json!([absent(), own])),
        // Its interface may be away for a while.
        ("of-unknown", json!([unknown_kind])),
    ];
    let go = [
        ("absent", json!([absent()])),
        ("wrong-uid", json!([wrong_uid])),
        ("wrong-name", json!([wrong_name])),
        ("wrong-kind", json!([wrong_kind])),
        ("of-other-namespace", json!([owned_by(&foreign)])),
        ("both-absent", json!([absent(), wrong_uid])),
    ];
    for (name, owners) in stay.iter().chain(&go) {
        makes(&scene, name, owners.clone()).await;
    }
    role("of-namespaced", json!([own])).await;
    let instance = Instance::start(&world.config, start, Faults::default());
    for (name, _) in &go {
        goes(&scene, name).await;
    }
    wait_until("the absent owner is forgotten", DONE, async || {
        let object = map(&scene, "one-of-two").await.unwrap();
        (owners(&object).len() == 1).then_some(())
    })
    .await;
    wait_until("the wrong namespace is told", DONE, async || {
        let events = scene.list::<Event>().await;
        let mut events = events.into_iter();
        let told = |e: Event| e.reason.as_deref() == Some("OwnerRefInvalidNamespace");
        events.any(told).then_some(())
    })
    .await;
    has_written(&instance, go.len() + 1).await;
    for (name, _) in &stay {
        assert!(map(&scene, name).await.is_some(), "{name} stays");
    }
    roles.get("of-namespaced").await.unwrap();
    roles
        .delete("above", &DeleteParams::background())
        .await
        .unwrap();
    goes(&scene, "of-cluster").await;
    drop(instance);
    leaves_the_rest(&world).await;
}

#[tokio::test]
async fn an_owner_waits_for_those_that_hold_it_up_and_no_others() {
    let world = World::start().await;
    let scene = world.scene().await;
    let _instance = Instance::start(&world.config, start, Faults::default());
    let owner = makes(&scene, "owner", json!([])).await;
    let mut free = owned_by(&owner);
    free["blockOwnerDeletion"] = json!(false);
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    makes(&scene, "free", json!([free])).await;
    let _: ConfigMap = scene.patch("free", hold).await;
    makes(&scene, "blocks", json!([owned_by(&owner)])).await;
    // One that the owner holds up, and that holds it up: neither waits for the other.
    let cycle = makes(&scene, "cycle", json!([owned_by(&owner)])).await;
    let back = json!({"metadata": {"ownerReferences": [owned_by(&cycle)]}});
    let _: ConfigMap = scene.patch("owner", back).await;
    let api = scene.api::<ConfigMap>();
    api.delete("owner", &DeleteParams::foreground())
        .await
        .unwrap();
    for name in ["owner", "blocks", "cycle"] {
        goes(&scene, name).await;
    }
    wait_until("the other one goes too", DONE, async || {
        let object = map(&scene, "free").await.unwrap();
        object.metadata.deletion_timestamp.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_collector_that_did_not_see_the_end_of_an_owner_finds_it_out() {
    let world = World::start().await;
    let scene = world.scene().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    let owner = makes(&scene, "owner", json!([])).await;
    makes_secret(&scene, "owned", json!([owned_by(&owner)])).await;
    makes(&scene, "garbage", json!([absent()])).await;
    goes(&scene, "garbage").await;
    instance.faults.blind("configmaps");
    let api = scene.api::<ConfigMap>();
    api.delete("owner", &DeleteParams::background())
        .await
        .unwrap();
    // Another one of its name is another one.
    makes(&scene, "owner", json!([])).await;
    instance.faults.miss("configmaps");
    wait_until("what it owned is gone", DONE, async || {
        scene.list::<Secret>().await.is_empty().then_some(())
    })
    .await;
    assert!(map(&scene, "owner").await.is_some());
}

#[tokio::test]
async fn what_has_found_another_owner_stays_though_the_collector_has_not_seen_that() {
    let world = World::start().await;
    let scene = world.scene().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    let first = makes(&scene, "first", json!([])).await;
    let second = makes(&scene, "second", json!([])).await;
    for name in ["moved", "left"] {
        makes_secret(&scene, name, json!([owned_by(&first)])).await;
    }
    makes(&scene, "garbage", json!([absent()])).await;
    goes(&scene, "garbage").await;
    instance.faults.blind("secrets");
    let moved = json!({"metadata": {"ownerReferences": [owned_by(&second)]}});
    let _: Secret = scene.patch("moved", moved).await;
    let api = scene.api::<ConfigMap>();
    api.delete("first", &DeleteParams::background())
        .await
        .unwrap();
    wait_until("the other one is gone", DONE, async || {
        let left = scene.api::<Secret>().get_opt("left").await.unwrap();
        left.is_none().then_some(())
    })
    .await;
    instance.faults.see("secrets");
    makes(&scene, "garbage", json!([absent()])).await;
    goes(&scene, "garbage").await;
    let moved = scene.api::<Secret>().get("moved").await.unwrap();
    assert!(moved.metadata.deletion_timestamp.is_none());
}

#[tokio::test]
async fn what_is_to_be_left_is_left_though_the_collector_has_not_seen_it() {
    let world = World::start().await;
    let scene = world.scene().await;
    let instance = Instance::start(&world.config, start, Faults::default());
    let owner = makes(&scene, "owner", json!([])).await;
    makes(&scene, "garbage", json!([absent()])).await;
    goes(&scene, "garbage").await;
    instance.faults.blind("secrets");
    makes_secret(&scene, "unseen", json!([owned_by(&owner)])).await;
    let api = scene.api::<ConfigMap>();
    api.delete("owner", &DeleteParams::orphan()).await.unwrap();
    goes(&scene, "owner").await;
    let left = scene.api::<Secret>().get("unseen").await.unwrap();
    assert!(left.metadata.owner_references.is_none());
    instance.faults.see("secrets");
    makes(&scene, "garbage", json!([absent()])).await;
    goes(&scene, "garbage").await;
    scene.api::<Secret>().get("unseen").await.unwrap();
    // One outside of namespaces owns what is in them.
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let name = &*scene.namespace;
    let above = namespaces.get(name).await.unwrap();
    makes(&scene, "below", json!([owned_by(&above)])).await;
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let params = PatchParams::default();
    namespaces.patch(name, &params, &label).await.unwrap();
    makes(&scene, "garbage", json!([absent()])).await;
    goes(&scene, "garbage").await;
    assert!(map(&scene, "below").await.is_some());
}
