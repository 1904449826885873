//! All controllers at once, each with no more rights than the role of its service account gives it.

use std::sync::Arc;
use std::time::Duration;

use controllers::{CONTROLLERS, Context, Controller, Options, SigningOptions};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use http::Request;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use mainstay_auth::authn::SigningKey;
use mainstay_client::Events;
use mainstay_component_tests::{Faults, Instance, Start, World, client_as, with_rights_of};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use super::certificates::{KUBELET, ask};
use super::tokens::{bootstrap_token, in_namespace, token_secret};
use crate::DONE;

const NAMESPACE: &str = "/api/v1/namespaces/work";
const SYSTEM: &str = "/api/v1/namespaces/kube-system";
const APPS: &str = "/apis/apps/v1/namespaces/work";
const BATCH: &str = "/apis/batch/v1/namespaces/work";

/// What shows that a controller may do its work: something that it brings about by requests of its own.
struct Shown {
    controller: &'static str,
    /// Where it shows, and whether it does; `Null` is what is not there.
    path: String,
    is_done: fn(&Value) -> bool,
}

fn shown(controller: &'static str, path: impl Into<String>, is_done: fn(&Value) -> bool) -> Shown {
    Shown {
        controller,
        path: path.into(),
        is_done,
    }
}

fn is_there(object: &Value) -> bool {
    !object.is_null()
}

fn goes(object: &Value) -> bool {
    object.is_null() || !object["metadata"]["deletionTimestamp"].is_null()
}

fn counts_one(object: &Value) -> bool {
    object["status"]["replicas"] == 1
}

/// What all controllers are given to do, in this order; to be made at these paths.
fn objects() -> Vec<(String, Value)> {
    let labels = json!({"app": "web"});
    let pods = json!({"containers": [{"name": "c", "image": "busybox"}]});
    let once = json!({"containers": [{"name": "c", "image": "busybox"}], "restartPolicy": "Never"});
    let template = json!({"metadata": {"labels": labels}, "spec": pods});
    let selector = json!({"matchLabels": labels});
    let of_one = |name: &str, others: Value| {
        let mut object = json!({"metadata": {"name": name}, "spec": {
            "replicas": 1, "selector": selector, "template": template}});
        for (field, value) in others.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        object
    };
    let pod_on = |name: &str, node: &str| {
        let mut spec = pods.clone();
        spec["nodeName"] = node.into();
        json!({"metadata": {"name": name}, "spec": spec})
    };
    let role = |name: &str, rules: Value, rule: Value| {
        json!({
        "metadata": {"name": name, "labels": {"part": name}}, "rules": rules, "aggregationRule": rule})
    };
    let mut unused = token_secret("unused", "default");
    unused["metadata"]["labels"] =
        json!({"kubernetes.io/legacy-token-invalid-since": "2020-01-01"});
    let past = Timestamp::now() - SignedDuration::from_secs(60);
    let daemons = json!({"metadata": {"name": "daemons"}, "spec": {"selector": selector, "template": template}});
    let nodes = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let often = json!({"schedule": "@every 1s", "concurrencyPolicy": "Forbid",
        "jobTemplate": {"spec": {"template": {"spec": once}}}});
    let at = |folder: &str, plural: &str| format!("{folder}/{plural}");
    vec![
        (
            at(NAMESPACE, "resourcequotas"),
            json!({"metadata": {"name": "all"}, "spec": {"hard": {"persistentvolumeclaims": "1"}}}),
        ),
        (
            at("/api/v1", "nodes"),
            nodes("closed", json!({"unschedulable": true})),
        ),
        (
            at("/api/v1", "nodes"),
            nodes(
                "bad",
                json!({"taints": [{"key": "bad", "effect": "NoExecute"}]}),
            ),
        ),
        (at(NAMESPACE, "pods"), pod_on("evicted", "bad")),
        (at(NAMESPACE, "pods"), pod_on("lost", "nowhere")),
        (
            at(NAMESPACE, "services"),
            json!({"metadata": {"name": "web"}, "spec": {"selector": labels, "ports": [{"port": 80}]}}),
        ),
        (
            at(NAMESPACE, "replicationcontrollers"),
            of_one("plain", json!({"selector": labels})),
        ),
        (at(APPS, "deployments"), of_one("web", json!({}))),
        (at(APPS, "replicasets"), of_one("set", json!({}))),
        (
            at(APPS, "statefulsets"),
            of_one("db", json!({"serviceName": "web"})),
        ),
        (at(APPS, "daemonsets"), daemons),
        (
            at(BATCH, "jobs"),
            json!({"metadata": {"name": "works"}, "spec": {"template": {"spec": once}}}),
        ),
        (
            at(BATCH, "jobs"),
            json!({"metadata": {"name": "done"}, "spec": {
            "completions": 0, "ttlSecondsAfterFinished": 0, "template": {"spec": once}}}),
        ),
        (
            at(BATCH, "cronjobs"),
            json!({"metadata": {"name": "tick"}, "spec": often}),
        ),
        (
            "/apis/policy/v1/namespaces/work/poddisruptionbudgets".to_owned(),
            json!({"metadata": {"name": "most"}, "spec": {"minAvailable": 1, "selector": selector}}),
        ),
        (
            at(NAMESPACE, "configmaps"),
            json!({"metadata": {"name": "orphan", "ownerReferences": [{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": "no-such-uid"}]}}),
        ),
        (
            at("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
            role(
                "part",
                json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]),
                Value::Null,
            ),
        ),
        (
            at("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
            role(
                "whole",
                json!([]),
                json!({"clusterRoleSelectors": [{"matchLabels": {"part": "part"}}]}),
            ),
        ),
        (at(NAMESPACE, "secrets"), token_secret("filled", "default")),
        (at(NAMESPACE, "secrets"), unused),
        (at(SYSTEM, "secrets"), bootstrap_token("signs1", None)),
        (at(SYSTEM, "secrets"), bootstrap_token("ended1", Some(past))),
        (
            "/api/v1/namespaces/kube-public/configmaps".to_owned(),
            json!({"metadata": {"name": "cluster-info"}, "data": {"kubeconfig": "text"}}),
        ),
    ]
}

/// All but the controller of namespaces, whose work would end that of others.
fn table() -> Vec<Shown> {
    let csr =
        |name: &str| format!("/apis/certificates.k8s.io/v1/certificatesigningrequests/{name}");
    let core = |rest: &str| format!("{NAMESPACE}/{rest}");
    vec![
        shown(
            "serviceaccount-token-controller",
            core("secrets/filled"),
            |secret| is_there(&secret["data"]["token"]),
        ),
        shown(
            "serviceaccount-controller",
            core("serviceaccounts/default"),
            is_there,
        ),
        shown(
            "root-ca-certificate-publisher-controller",
            core("configmaps/kube-root-ca.crt"),
            is_there,
        ),
        shown(
            "garbage-collector-controller",
            core("configmaps/orphan"),
            goes,
        ),
        shown("node-ipam-controller", "/api/v1/nodes/closed", |node| {
            is_there(&node["spec"]["podCIDR"])
        }),
        shown(
            "node-lifecycle-controller",
            "/api/v1/nodes/closed",
            |node| {
                node["spec"]["taints"]
                    .to_string()
                    .contains("node.kubernetes.io/unschedulable")
            },
        ),
        shown("taint-eviction-controller", core("pods/evicted"), goes),
        shown("pod-garbage-collector-controller", core("pods/lost"), goes),
        shown(
            "resourcequota-controller",
            core("resourcequotas/all"),
            |quota| is_there(&quota["status"]["used"]["persistentvolumeclaims"]),
        ),
        shown("job-controller", format!("{BATCH}/jobs/works"), |job| {
            job["status"]["active"] == 1
        }),
        shown(
            "cronjob-controller",
            format!("{BATCH}/cronjobs/tick"),
            |cron_job| is_there(&cron_job["status"]["lastScheduleTime"]),
        ),
        shown(
            "ttl-after-finished-controller",
            format!("{BATCH}/jobs/done"),
            goes,
        ),
        shown("endpoints-controller", core("endpoints/web"), is_there),
        shown(
            "endpointslice-controller",
            "/apis/discovery.k8s.io/v1/namespaces/work/endpointslices",
            |slices| {
                slices["items"]
                    .as_array()
                    .is_some_and(|slices| !slices.is_empty())
            },
        ),
        shown(
            "daemonset-controller",
            format!("{APPS}/daemonsets/daemons"),
            |set| set["status"]["observedGeneration"] == 1,
        ),
        shown(
            "disruption-controller",
            "/apis/policy/v1/namespaces/work/poddisruptionbudgets/most",
            |budget| budget["status"]["observedGeneration"] == 1,
        ),
        shown(
            "statefulset-controller",
            format!("{APPS}/statefulsets/db"),
            counts_one,
        ),
        shown(
            "deployment-controller",
            format!("{APPS}/deployments/web"),
            counts_one,
        ),
        shown(
            "replicaset-controller",
            format!("{APPS}/replicasets/set"),
            counts_one,
        ),
        shown(
            "replicationcontroller-controller",
            core("replicationcontrollers/plain"),
            counts_one,
        ),
        shown(
            "certificatesigningrequest-approving-controller",
            csr("kubelet"),
            |request| request["status"]["conditions"][0]["type"] == "Approved",
        ),
        shown(
            "certificatesigningrequest-signing-controller",
            csr("kubelet"),
            |request| is_there(&request["status"]["certificate"]),
        ),
        shown(
            "certificatesigningrequest-cleaner-controller",
            csr("old"),
            goes,
        ),
        shown(
            "clusterrole-aggregation-controller",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/whole",
            |role| role["rules"][0]["verbs"] == json!(["get"]),
        ),
        shown(
            "legacy-serviceaccount-token-cleaner-controller",
            core("secrets/unused"),
            goes,
        ),
        shown(
            "bootstrap-signer-controller",
            "/api/v1/namespaces/kube-public/configmaps/cluster-info",
            |map| is_there(&map["data"]["jws-kubeconfig-signs1"]),
        ),
        shown(
            "token-cleaner-controller",
            format!("{SYSTEM}/secrets/bootstrap-token-ended1"),
            goes,
        ),
    ]
}

/// Starts all of them. Caches are filled under another identity, as those of a process are.
fn all(world: &World) -> impl Start + use<> {
    let pki = world.server.pki().to_owned();
    move |cx: Context| -> BoxFuture<'static, ()> {
        let key = std::fs::read(pki.join("sa.key")).unwrap();
        let options = Arc::new(Options {
            signing: SigningOptions {
                cluster_signing_cert_file: Some(pki.join("ca.crt")),
                cluster_signing_key_file: Some(pki.join("ca.key")),
                cluster_signing_duration: Duration::from_secs(24 * 3_600),
                ..SigningOptions::default()
            },
            service_account_key: Some(Arc::new(SigningKey::from_pem(&key).unwrap())),
            root_ca: Some("an authority".to_owned()),
            allocate_node_cidrs: true,
            cluster_cidr: "10.200.0.0/16".to_owned(),
            legacy_service_account_token_clean_up_period: Duration::from_secs(1),
            legacy_service_account_token_period: Duration::from_millis(200),
            pod_gc_period: Duration::from_millis(200),
            pod_gc_quarantine: Duration::from_secs(1),
            aggregation_grace: Duration::ZERO,
            namespace_deletion_pause: Duration::ZERO,
            ..Options::default()
        });
        let start = move |controller: &Controller| {
            let options = Arc::clone(&options);
            (controller.start)(Context {
                options,
                ..under_its_name(controller, cx.clone())
            })
        };
        join_all(CONTROLLERS.iter().map(start)).map(drop).boxed()
    }
}

fn under_its_name(controller: &Controller, cx: Context) -> Context {
    match controller.service_account {
        "" => {
            let groups = ["system:authenticated"];
            let client = client_as(&cx.client, "system:kube-controller-manager", &groups);
            Context {
                events: Events::start(client.clone(), controller.name),
                client,
                ..cx
            }
        }
        account => with_rights_of(account, cx),
    }
}

async fn send(client: &Client, method: &str, path: &str, body: Vec<u8>) -> kube::Result<Value> {
    let media = match method {
        "PATCH" => "application/strategic-merge-patch+json",
        _ => "application/json",
    };
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", media).body(body).unwrap();
    client.request(request).await
}

async fn get(client: &Client, path: &str) -> Value {
    match send(client, "GET", path, Vec::new()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Value::Null,
        found => found.unwrap(),
    }
}

async fn patch(client: &Client, path: &str, patch: Value) {
    let patch = patch.to_string().into_bytes();
    send(client, "PATCH", path, patch).await.unwrap();
}

async fn is_done(client: &Client, shown: &Shown) {
    let what = format!("{} has done its work", shown.controller);
    wait_until(&what, DONE, async || {
        let found = get(client, &shown.path).await;
        (shown.is_done)(&found).then_some(())
    })
    .await;
}

/// Requests that need what the table cannot say.
async fn make_requests(client: &Client) {
    let kubelet = ("system:nodes", "system:node:n");
    let usages = ["client auth", "digital signature"];
    ask(client, "kubelet", kubelet, KUBELET, &usages).await;
    let signer = "kubernetes.io/kube-apiserver-client";
    ask(client, "old", ("people", "jane"), signer, &["client auth"]).await;
    let denied = json!({"status": {"conditions": [{
        "type": "Denied", "status": "True", "reason": "Test", "lastUpdateTime": "2026-01-01T00:00:00Z",
    }]}});
    let old = "/apis/certificates.k8s.io/v1/certificatesigningrequests/old/approval";
    patch(client, old, denied).await;
}

#[tokio::test]
async fn every_controller_does_its_work_by_what_its_role_allows() {
    let table = table();
    for controller in CONTROLLERS {
        let is_in = table
            .iter()
            .any(|shown| shown.controller == controller.name);
        assert!(
            is_in || controller.name == "namespace-controller",
            "{} is not shown",
            controller.name
        );
    }
    let world = World::start_with(&["--aggregate-cluster-roles=false"]).await;
    let client = &world.client;
    let tracking =
        format!("{SYSTEM}/configmaps/kube-apiserver-legacy-service-account-token-tracking");
    wait_until("uses of tokens are recorded", DONE, async || {
        is_there(&get(client, &tracking).await).then_some(())
    })
    .await;
    patch(client, &tracking, json!({"data": {"since": "2020-01-01"}})).await;
    let running = Instance::start(&world.config, all(&world), Faults::default());
    for namespace in ["work", "left", "kube-public"] {
        in_namespace(&world, namespace).await;
    }
    // Pods need it.
    let account = shown(
        "serviceaccount-controller",
        format!("{NAMESPACE}/serviceaccounts/default"),
        is_there,
    );
    is_done(client, &account).await;
    for (path, object) in objects() {
        let body = object.to_string().into_bytes();
        let made = send(client, "POST", &path, body).await;
        assert!(made.is_ok(), "{path}: {object}: {made:?}");
    }
    patch(
        client,
        &account.path,
        json!({"secrets": [{"name": "unused"}]}),
    )
    .await;
    make_requests(client).await;
    join_all(table.iter().map(|shown| is_done(client, shown))).await;
    assert_eq!(running.faults.refused(), [""; 0]);
    // Things cannot be made in a namespace that goes, which is a refusal as well: last of all, and another one.
    let path = "/api/v1/namespaces/left";
    send(client, "DELETE", path, Vec::new()).await.unwrap();
    is_done(client, &shown("namespace-controller", path, Value::is_null)).await;
}
