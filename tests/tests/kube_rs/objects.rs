//! Every verb, for typed and for discovered kinds.

use std::collections::BTreeSet;
use std::fmt::Debug;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolume, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::support::{object, refusal, refused, serve};

/// Creates, reads, changes, refuses to change from an old state, and deletes.
async fn lives_and_dies<K>(api: Api<K>, manifest: serde_json::Value)
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let kind = K::kind(&());
    let new: K = object(manifest);
    let name = new.name_any();
    let (post, list) = (PostParams::default(), ListParams::default());
    let made = api.create(&post, &new).await.unwrap();
    assert!(
        made.uid().is_some() && made.resource_version().is_some(),
        "{made:?}"
    );
    let again = refusal(api.create(&post, &new).await);
    assert_eq!(again, refused(409, "AlreadyExists"), "{kind}");
    let read = api.get(&name).await.unwrap();
    assert_eq!(json!(read), json!(made), "{kind}");
    let listed = api.list(&list).await.unwrap();
    assert!(
        listed
            .iter()
            .any(|one| json!(one.meta()) == json!(made.meta())),
        "{kind}"
    );

    let mut changed = read.clone();
    changed.annotations_mut().insert("a".into(), "1".into());
    let changed = api.replace(&name, &post, &changed).await.unwrap();
    assert_ne!(
        changed.resource_version(),
        read.resource_version(),
        "{kind}"
    );
    let mut late = read.clone();
    late.annotations_mut().insert("a".into(), "2".into());
    let late = refusal(api.replace(&name, &post, &late).await);
    assert_eq!(late, refused(409, "Conflict"), "{kind}");

    let label = Patch::Merge(json!({ "metadata": { "labels": { "l": "x" } } }));
    let labelled = api
        .patch(&name, &PatchParams::default(), &label)
        .await
        .unwrap();
    assert_eq!(labelled.labels()["l"], "x", "{kind}");
    let found = api.list(&list.clone().labels("l=x")).await.unwrap();
    assert_eq!(found.items.len(), 1, "{kind}");
    let metadata = api.get_metadata(&name).await.unwrap();
    assert_eq!(json!(metadata.metadata), json!(labelled.meta()), "{kind}");

    let only = |uid: Option<String>| {
        DeleteParams::default().preconditions(Preconditions {
            uid,
            resource_version: None,
        })
    };
    let other = api.delete(&name, &only(Some("of-another".into()))).await;
    assert_eq!(refusal(other), refused(409, "Conflict"), "{kind}");
    api.delete(&name, &only(made.uid())).await.unwrap();
    // A finalizer of the server's may hold it; nobody here lets go of it.
    match api.get_opt(&name).await.unwrap() {
        None => assert_eq!(refusal(api.get(&name).await), refused(404, "NotFound")),
        Some(held) => assert!(held.meta().deletion_timestamp.is_some(), "{held:?}"),
    }
}

#[tokio::test]
async fn typed_objects_of_many_groups_live_and_die() {
    let served = serve().await;
    let client = &served.client;
    let meta = || json!({ "name": "one" });
    let pods = json!({
        "metadata": { "labels": { "app": "w" } },
        "spec": { "containers": [{ "name": "c", "image": "nginx:1.27" }] },
    });
    let selector = json!({ "matchLabels": { "app": "w" } });
    macro_rules! check {
        ($kind:ty, $rest:tt) => {{
            let mut manifest = json!($rest);
            manifest["metadata"] = meta();
            lives_and_dies::<$kind>(Api::default_namespaced(client.clone()), manifest).await;
        }};
        (cluster $kind:ty, $rest:tt) => {{
            let mut manifest = json!($rest);
            manifest["metadata"] = meta();
            lives_and_dies::<$kind>(Api::all(client.clone()), manifest).await;
        }};
    }
    check!(ConfigMap, { "data": { "k": "v" } });
    check!(Secret, { "stringData": { "k": "v" } });
    check!(Service, { "spec": { "ports": [{ "port": 80 }], "selector": { "app": "w" } } });
    check!(Deployment, { "spec": { "selector": selector, "template": pods } });
    check!(CronJob, { "spec": { "schedule": "5 4 * * *", "jobTemplate": { "spec": { "template": {
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }] },
    } } } } });
    check!(HorizontalPodAutoscaler, { "spec": {
        "maxReplicas": 4,
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "w" },
    } });
    check!(Lease, { "spec": {
        "holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2026-01-02T03:04:05.678901Z",
    } });
    check!(EndpointSlice, { "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.1"] }], "ports": [] });
    check!(NetworkPolicy, { "spec": { "podSelector": selector, "policyTypes": ["Ingress"] } });
    check!(Ingress, { "spec": { "defaultBackend": { "service": { "name": "s", "port": { "number": 80 } } } } });
    check!(PodDisruptionBudget, { "spec": { "minAvailable": "50%", "selector": selector } });
    check!(RoleBinding, {
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob" }],
    });
    check!(cluster ClusterRole, { "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] });
    check!(cluster PriorityClass, { "value": 7 });
    check!(cluster StorageClass, { "provisioner": "example.com/p" });
    check!(cluster PersistentVolume, { "spec": {
        "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/x" },
    } });
    check!(cluster Node, { "spec": { "podCIDR": "10.1.0.0/24" } });
}

#[tokio::test]
async fn an_object_is_patched_in_three_ways_and_read_back_through_entry() {
    let served = serve().await;
    let api: Api<Deployment> = Api::default_namespaced(served.client.clone());
    let container = |name: &str| json!({ "name": name, "image": "i" });
    let new = object(json!({
        "metadata": { "name": "d" },
        "spec": {
            "selector": { "matchLabels": { "a": "b" } },
            "template": {
                "metadata": { "labels": { "a": "b" } },
                "spec": { "containers": [container("one"), container("two")] },
            },
        },
    }));
    api.create(&PostParams::default(), &new).await.unwrap();
    let params = PatchParams::default();
    let images = |d: &Deployment| {
        let pod = d.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        let shown = pod
            .containers
            .iter()
            .map(|c| format!("{}={}", c.name, c.image.as_deref().unwrap()));
        shown.collect::<Vec<_>>().join(" ")
    };
    let two = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "two", "image": "j" }] } } } });
    let merged = api
        .patch("d", &params, &Patch::Strategic(&two))
        .await
        .unwrap();
    assert_eq!(images(&merged), "one=i two=j", "lists are merged by name");
    let replaced = api.patch("d", &params, &Patch::Merge(&two)).await.unwrap();
    assert_eq!(images(&replaced), "two=j", "lists are replaced");
    let path = "/spec/template/spec/containers/0/image";
    let steps = |old: &str| {
        let steps = json!([{ "op": "test", "path": path, "value": old }, { "op": "replace", "path": path, "value": "k" }]);
        Patch::Json::<()>(serde_json::from_value(steps).unwrap())
    };
    let stepped = api.patch("d", &params, &steps("j")).await.unwrap();
    assert_eq!(images(&stepped), "two=k");
    assert_eq!(
        refusal(api.patch("d", &params, &steps("j")).await),
        refused(422, "Invalid")
    );
    let dry = api
        .patch("d", &params.clone().dry_run(), &Patch::Merge(&two))
        .await
        .unwrap();
    assert_eq!(images(&dry), "two=j", "a dry run answers as if");
    assert_eq!(
        images(&api.get("d").await.unwrap()),
        "two=k",
        "and changes nothing"
    );
    let restarted = api.restart("d").await.unwrap();
    assert_eq!(restarted.metadata.generation, Some(5));

    let entry = api.entry("d").await.unwrap();
    let mut entry = entry
        .and_modify(|d| d.labels_mut().extend([("x".into(), "y".into())]))
        .or_insert(|| unreachable!());
    entry.commit(&PostParams::default()).await.unwrap();
    assert_eq!(api.get("d").await.unwrap().labels()["x"], "y");
}

/// Both forms of discovery name the same kinds, and every kind that can be listed is.
#[tokio::test]
async fn every_discovered_kind_is_listed_by_the_dynamic_client() {
    let served = serve().await;
    let client = &served.client;
    let plain = Discovery::new(client.clone()).run().await.unwrap();
    let aggregated = Discovery::new(client.clone())
        .run_aggregated()
        .await
        .unwrap();
    let names = |found: &Discovery| {
        let groups = found.groups();
        let all = groups.flat_map(|group| group.recommended_resources());
        let all = all.map(|(kind, can)| {
            format!(
                "{} {} {:?} {:?}",
                kind.api_version, kind.plural, can.scope, can.operations
            )
        });
        all.collect::<BTreeSet<String>>()
    };
    assert_eq!(names(&plain), names(&aggregated));
    assert!(names(&plain).len() > 60, "{:?}", names(&plain));
    let mut listed = 0;
    for (kind, can) in aggregated
        .groups()
        .flat_map(|group| group.recommended_resources())
    {
        if !can.supports_operation(verbs::LIST) {
            continue;
        }
        let api: Api<DynamicObject> = match can.scope {
            Scope::Cluster => Api::all_with(client.clone(), &kind),
            Scope::Namespaced => Api::default_namespaced_with(client.clone(), &kind),
        };
        let list = api.list(&ListParams::default()).await;
        let list = list.unwrap_or_else(|e| panic!("{}: {e}", kind.plural));
        // Component statuses are not kept: as upstream, nothing of them has a version.
        let kept = kind.plural != "componentstatuses";
        let version = list.metadata.resource_version;
        assert_eq!(version.is_some(), kept, "{}", kind.plural);
        let metadata = api.list_metadata(&ListParams::default()).await;
        let metadata = metadata.unwrap_or_else(|e| panic!("{}: {e}", kind.plural));
        assert_eq!(metadata.items.len(), list.items.len(), "{}", kind.plural);
        listed += 1;
    }
    assert!(listed > 50, "{listed}");
}
