//! Namespaces that come, are filled, and go.

use super::super::client::{Client, Request};
use super::super::kind::Kind;
use super::super::object::{self, TOKEN};
use super::objects::draft;
use mainstay_check::api::Verb;
use rand::Rng;
use serde_json::json;

/// One turn in so many is used: a namespace is many requests.
const RARELY: u32 = 4;

pub(super) async fn work(mut client: Client) {
    let mut number = 0;
    while client.turn().await {
        if client.rng.random_ratio(RARELY - 1, RARELY) {
            continue;
        }
        number += 1;
        let name = format!("ns-{}-{number}", client.number);
        life(&mut client, &name).await;
    }
}

/// From the creation to the end, as far as faults let it come.
async fn life(client: &mut Client, name: &str) {
    let namespace = draft(client, Kind::Namespace, name);
    let request = Request::new(Verb::Create, Kind::Namespace, "", name).with(namespace);
    if client.perform(request).await.ok().is_none() {
        return;
    }
    for at in 0..3 {
        let one = format!("c{at}");
        let object = draft(client, Kind::ConfigMap, &one);
        let request = Request::new(Verb::Create, Kind::ConfigMap, name, &one).with(object);
        client.perform(request).await;
    }
    let request = Request::new(Verb::Delete, Kind::Namespace, "", name);
    client.perform(request).await;
    // Nothing new comes into a namespace that goes; the checker knows by the token.
    let late = draft(client, Kind::ConfigMap, "late");
    let request = Request::new(Verb::Create, Kind::ConfigMap, name, "late").with(late);
    client.perform(request).await;
    for one in ["c0", "c1", "c2", "late"] {
        let get = Request::new(Verb::Get, Kind::ConfigMap, name, one);
        if let Some(mut object) = client.perform(get).await.ok() {
            if object["metadata"]["finalizers"].is_array() {
                let named = object::version(&object);
                object["metadata"]["annotations"][TOKEN] = json!(client.token());
                object["metadata"]["finalizers"] = json!([]);
                let mut request =
                    Request::new(Verb::Update, Kind::ConfigMap, name, one).with(object);
                request.named = named;
                client.perform(request).await;
            }
            let request = Request::new(Verb::Delete, Kind::ConfigMap, name, one);
            client.perform(request).await;
        }
    }
    let get = Request::new(Verb::Get, Kind::Namespace, "", name);
    let Some(mut namespace) = client.perform(get).await.ok() else {
        return;
    };
    // Its deletion may have failed, and it is no end to be finalized without one.
    if namespace["metadata"]["deletionTimestamp"].is_null() {
        return;
    }
    let named = object::version(&namespace);
    namespace["spec"]["finalizers"] = json!([]);
    let mut request = Request::new(Verb::Delete, Kind::Namespace, "", name).with(namespace);
    request.puts = true;
    request.subresource = "finalize";
    request.token = None;
    request.named = named;
    client.perform(request).await;
}
