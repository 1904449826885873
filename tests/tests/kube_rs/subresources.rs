//! Parts of objects with a path of their own: status, scale, eviction, tokens; and reviews.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenReview};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{EvictParams, LogParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::support::{object, refusal, refused, serve};

#[tokio::test]
async fn status_and_scale_are_apart_from_the_rest() {
    let served = serve().await;
    let api: Api<Deployment> = Api::default_namespaced(served.client.clone());
    let post = PostParams::default();
    let new = object(json!({
        "metadata": { "name": "d" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "a": "b" } },
            "template": {
                "metadata": { "labels": { "a": "b" } },
                "spec": { "containers": [{ "name": "c", "image": "i" }] },
            },
        },
        "status": { "replicas": 9 },
    }));
    let made = api.create(&post, &new).await.unwrap();
    assert_eq!(
        made.status.unwrap().replicas,
        None,
        "nobody brings a status"
    );

    let both = Patch::Merge(
        json!({ "spec": { "replicas": 7 }, "status": { "replicas": 2, "observedGeneration": 1 } }),
    );
    let params = PatchParams::default();
    let status = api.patch_status("d", &params, &both).await.unwrap();
    assert_eq!(status.status.as_ref().unwrap().replicas, Some(2));
    assert_eq!(
        status.spec.as_ref().unwrap().replicas,
        Some(2),
        "only the status changed"
    );
    assert_eq!(status.metadata.generation, Some(1));
    let mut replaced = api.get_status("d").await.unwrap();
    replaced.status.as_mut().unwrap().ready_replicas = Some(1);
    api.replace_status("d", &post, &replaced).await.unwrap();
    assert_eq!(
        refusal(api.replace_status("d", &post, &status).await),
        refused(409, "Conflict")
    );

    let mut scale = api.get_scale("d").await.unwrap();
    assert_eq!(
        scale.status.as_ref().unwrap().selector.as_deref(),
        Some("a=b")
    );
    scale.spec.as_mut().unwrap().replicas = Some(5);
    let scale = api.replace_scale("d", &post, &scale).await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(5));
    let fewer = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
    api.patch_scale("d", &params, &fewer).await.unwrap();
    let now = api.get("d").await.unwrap();
    assert_eq!(
        (now.spec.unwrap().replicas, now.metadata.generation),
        (Some(1), Some(3))
    );
}

/// Makes what a pod needs, and the pod.
async fn pod(client: &Client) -> Api<Pod> {
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
    let account = object(json!({ "metadata": { "name": "default" } }));
    accounts
        .create(&PostParams::default(), &account)
        .await
        .unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let pod = object(json!({
        "metadata": { "name": "p", "labels": { "app": "w" } },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    }));
    pods.create(&PostParams::default(), &pod).await.unwrap();
    pods
}

#[tokio::test]
async fn a_budget_holds_an_eviction_up() {
    let served = serve().await;
    let pods = pod(&served.client).await;
    let ready = Patch::Strategic(json!({ "status": {
        "phase": "Running",
        "conditions": [{ "type": "Ready", "status": "True" }],
    } }));
    pods.patch_status("p", &PatchParams::default(), &ready)
        .await
        .unwrap();
    // It is on no node: there is nothing that could have logged.
    let logs = pods.logs("p", &LogParams::default()).await;
    assert_eq!(logs.unwrap(), "");
    let budgets: Api<PodDisruptionBudget> = Api::default_namespaced(served.client.clone());
    let budget = object(json!({
        "metadata": { "name": "b" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "w" } } },
    }));
    budgets
        .create(&PostParams::default(), &budget)
        .await
        .unwrap();
    let counted = |allowed: i32| {
        Patch::Merge(json!({ "status": {
            "disruptionsAllowed": allowed, "observedGeneration": 1,
            "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1,
        } }))
    };
    let params = PatchParams::default();
    budgets
        .patch_status("b", &params, &counted(0))
        .await
        .unwrap();
    let held = refusal(pods.evict("p", &EvictParams::default()).await);
    assert_eq!(held, refused(429, "TooManyRequests"));
    budgets
        .patch_status("b", &params, &counted(1))
        .await
        .unwrap();
    pods.evict("p", &EvictParams::default()).await.unwrap();
    let budget = budgets.get("b").await.unwrap();
    assert_eq!(budget.status.unwrap().disruptions_allowed, Some(0));
}

/// A token that was asked for identifies its account, may what the account may, and goes with it.
#[tokio::test]
async fn a_requested_token_is_its_account() {
    let served = serve().await;
    let _pods = pod(&served.client).await;
    let accounts: Api<ServiceAccount> = Api::default_namespaced(served.client.clone());
    let request: TokenRequest =
        object(json!({ "spec": { "audiences": [], "expirationSeconds": 600 } }));
    let granted = accounts
        .create_token_request("default", &PostParams::default(), &request)
        .await
        .unwrap();
    let token = granted.status.unwrap().token.unwrap();
    let reviews: Api<TokenReview> = Api::all(served.client.clone());
    let review = object(json!({ "spec": { "token": token } }));
    let review = reviews
        .create(&PostParams::default(), &review)
        .await
        .unwrap();
    let user = review.status.unwrap().user.unwrap().username.unwrap();
    assert_eq!(user, "system:serviceaccount:default:default");

    let mut config = kube::Config::new(
        format!("https://127.0.0.1:{}", served.server.port())
            .parse()
            .unwrap(),
    );
    config.accept_invalid_certs = true;
    config.auth_info.token = Some(token.into());
    let own = Client::try_from(config).unwrap();
    let reviews: Api<SelfSubjectAccessReview> = Api::all(own.clone());
    let may = async |verb: &str, resource: &str| {
        let asked = object(json!({ "spec": { "resourceAttributes": {
            "verb": verb, "resource": resource, "namespace": "default",
        } } }));
        reviews
            .create(&PostParams::default(), &asked)
            .await
            .unwrap()
            .status
            .unwrap()
            .allowed
    };
    assert!(!may("list", "pods").await);
    let pods: Api<Pod> = Api::default_namespaced(own);
    assert_eq!(refusal(pods.get("p").await), refused(403, "Forbidden"));
    accounts
        .delete("default", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    mainstay_tests::wait_until(
        "the token ends",
        mainstay_tests::limits::CALL_DEADLINE,
        async || {
            let Err(kube::Error::Api(status)) = pods.get("p").await else {
                return None;
            };
            (status.code == 401).then_some(())
        },
    )
    .await;
}

#[tokio::test]
async fn a_node_is_cordoned() {
    let served = serve().await;
    let nodes: Api<Node> = Api::all(served.client.clone());
    let node = object(json!({ "metadata": { "name": "n" } }));
    nodes.create(&PostParams::default(), &node).await.unwrap();
    assert_eq!(
        nodes.cordon("n").await.unwrap().spec.unwrap().unschedulable,
        Some(true)
    );
    assert_eq!(
        nodes
            .uncordon("n")
            .await
            .unwrap()
            .spec
            .unwrap()
            .unschedulable,
        None
    );
}
