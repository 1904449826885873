//! Services: more of them than there are addresses and ports.

use super::super::client::{Client, Request};
use super::super::kind::Kind;
use super::super::object;
use super::NAMESPACES;
use super::objects::draft;
use mainstay_check::api::Verb;
use rand::Rng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

/// Services that one client has at a time at most.
const OWN_MAX: usize = 60;

pub(super) async fn work(mut client: Client) {
    let mut own: Vec<Value> = Vec::new();
    while client.turn().await {
        let full = own.len() >= OWN_MAX;
        match client.rng.random_range(0..10) {
            0..6 if !full => own.extend(create(&mut client).await),
            6 if !own.is_empty() => {
                let at = client.rng.random_range(0..own.len());
                match retype(&mut client, &own[at]).await {
                    Some(newer) => own[at] = newer,
                    None => drop(own.swap_remove(at)),
                }
            }
            _ if !own.is_empty() => {
                let at = client.rng.random_range(0..own.len());
                let gone = own.swap_remove(at);
                delete(&mut client, &gone).await;
            }
            _ => {}
        }
    }
}

async fn create(client: &mut Client) -> Option<Value> {
    let namespace = *NAMESPACES
        .choose(&mut client.rng)
        .expect("there are namespaces");
    let mut service = draft(client, Kind::Service, "");
    if let Some(metadata) = service["metadata"].as_object_mut() {
        metadata.remove("name");
        metadata.insert("generateName".to_owned(), json!("s-"));
    }
    service["spec"] = json!({"ports": [{"port": 80}]});
    if client.rng.random_bool(0.4) {
        service["spec"]["type"] = json!("NodePort");
    }
    let request = Request::new(Verb::Create, Kind::Service, namespace, "").with(service);
    client.perform(request).await.ok()
}

fn place(service: &Value) -> (&str, &str) {
    let metadata = &service["metadata"];
    let text = |value: &'static str| metadata[value].as_str().unwrap_or_default();
    (text("namespace"), text("name"))
}

/// From one type to the other: node ports come and go.
async fn retype(client: &mut Client, service: &Value) -> Option<Value> {
    let (namespace, name) = place(service);
    let mut changed = service.clone();
    changed["metadata"]["annotations"][object::TOKEN] = json!(client.token());
    let is_node_port = changed["spec"]["type"] == "NodePort";
    changed["spec"]["type"] = json!(match is_node_port {
        true => "ClusterIP",
        false => "NodePort",
    });
    if is_node_port && let Some(port) = changed["spec"]["ports"][0].as_object_mut() {
        port.remove("nodePort");
    }
    let mut request = Request::new(Verb::Update, Kind::Service, namespace, name).with(changed);
    request.named = object::version(service);
    client.perform(request).await.ok()
}

async fn delete(client: &mut Client, service: &Value) {
    let (namespace, name) = place(service);
    let uid = service["metadata"]["uid"].as_str().unwrap_or_default();
    let mut request = Request::new(Verb::Delete, Kind::Service, namespace, name);
    request.uid = Some(uid.to_owned());
    request.body = Some(json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": uid},
    }));
    client.perform(request).await;
}
