//! Lists in pages, and what deletes many objects at once.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, PostParams, VersionMatch};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::support::{Served, client, object, refusal, refused, serve};

const OBJECTS: usize = 23;

async fn filled() -> (Served, Api<ConfigMap>) {
    let served = serve().await;
    let api: Api<ConfigMap> = Api::default_namespaced(served.client.clone());
    for number in 0..OBJECTS {
        let parity = ["even", "odd"][number % 2];
        let new = object(json!({
            "metadata": { "name": format!("c{number:02}"), "labels": { "parity": parity } },
        }));
        api.create(&PostParams::default(), &new).await.unwrap();
    }
    (served, api)
}

/// Pages are of one moment, whatever is written between them.
#[tokio::test]
async fn pages_show_one_moment() {
    let (_served, api) = filled().await;
    let mut params = ListParams::default().limit(7);
    let mut seen = Vec::new();
    let mut versions = Vec::new();
    loop {
        let page = api.list(&params).await.unwrap();
        seen.extend(page.items.iter().map(ResourceExt::name_any));
        versions.push(page.metadata.resource_version.clone().unwrap());
        let left = page.metadata.remaining_item_count;
        let Some(token) = page.metadata.continue_.filter(|token| !token.is_empty()) else {
            break;
        };
        assert_eq!(left, i64::try_from(OBJECTS - seen.len()).ok());
        params = params.continue_token(&token);
        let round = versions.len();
        let extra = object(json!({ "metadata": { "name": format!("d{round}") } }));
        api.create(&PostParams::default(), &extra).await.unwrap();
        api.delete(
            &format!("c{:02}", OBJECTS - round),
            &DeleteParams::default(),
        )
        .await
        .unwrap();
    }
    let expected: Vec<String> = (0..OBJECTS).map(|n| format!("c{n:02}")).collect();
    assert_eq!(seen, expected);
    versions.dedup();
    assert_eq!(versions.len(), 1, "{versions:?}");

    let exact = ListParams::default()
        .at(&versions[0])
        .matching(VersionMatch::Exact);
    let then = api.list(&exact).await.unwrap();
    let then: Vec<String> = then.items.iter().map(ResourceExt::name_any).collect();
    assert_eq!(then, expected);
    let future = ListParams::default()
        .at("99999999")
        .matching(VersionMatch::NotOlderThan);
    assert_eq!(refusal(api.list(&future).await), refused(504, "Timeout"));
}

/// A token outlives its server, and says so when the history it needs is gone.
#[tokio::test]
async fn a_token_goes_on_after_a_restart_and_expires_with_the_history() {
    let (mut served, api) = filled().await;
    let first = api.list(&ListParams::default().limit(20)).await.unwrap();
    let token = first.metadata.continue_.unwrap();
    api.delete("c22", &DeleteParams::default()).await.unwrap();
    served.server.kill();
    served.server.run().await;
    let api: Api<ConfigMap> = Api::default_namespaced(client(&served.server.kubeconfig()).await);
    let rest = ListParams::default().limit(20).continue_token(&token);
    let page = api.list(&rest).await.unwrap();
    assert_eq!(page.items.len(), 3, "c22 was there when the first page was");
    assert_eq!(
        page.metadata.resource_version,
        first.metadata.resource_version
    );

    // A server that runs may remember what the store has dropped.
    served.server.kill();
    mainstay_tests::masters::compact(&served.cluster).await;
    served.server.run().await;
    let api: Api<ConfigMap> = Api::default_namespaced(client(&served.server.kubeconfig()).await);
    let gone = match api.list(&rest).await {
        Err(kube::Error::Api(gone)) => gone,
        other => panic!("the history is gone: {other:?}"),
    };
    assert_eq!((gone.code, gone.reason.as_str()), (410, "Expired"));
    // With the refusal comes a token that goes on at the newest state.
    let token = gone.metadata.and_then(|meta| meta.continue_).unwrap();
    let page = api.list(&rest.continue_token(&token)).await.unwrap();
    assert_eq!(page.items.len(), 2);
}

#[tokio::test]
async fn a_collection_is_deleted_by_label() {
    let (_served, api) = filled().await;
    let odd = ListParams::default().labels("parity=odd");
    let dry = DeleteParams::default().dry_run();
    api.delete_collection(&dry, &odd).await.unwrap();
    assert_eq!(api.list(&odd).await.unwrap().items.len(), OBJECTS / 2);
    let deleted = api
        .delete_collection(&DeleteParams::default(), &odd)
        .await
        .unwrap();
    assert_eq!(deleted.left().unwrap().items.len(), OBJECTS / 2);
    let left = api.list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.len(), OBJECTS - OBJECTS / 2);
    assert!(left.iter().all(|one| one.labels()["parity"] == "even"));
}
