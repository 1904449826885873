//! Config maps and pods: created, changed in every way, read in every way, deleted.

use super::super::client::{Client, Reply, Request, Wanted};
use super::super::kind::Kind;
use super::super::object::{self, TOKEN};
use super::{COLOR, COLORS, NAMESPACES};
use mainstay_check::api::{Ask, Verb};
use rand::Rng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// Names that clients race for, of each kind in each namespace.
const NAMES: usize = 12;
/// A finalizer that somebody has to take away.
const FINALIZER: &str = "mainstay.test/held";
/// Nodes that pods are on.
const NODES: [&str; 4] = ["n0", "n1", "n2", "n3"];
const PHASES: [&str; 3] = ["Pending", "Running", "Succeeded"];

/// An object that one client is about.
struct Subject {
    kind: Kind,
    namespace: &'static str,
    name: String,
}

pub(super) async fn work(mut client: Client) {
    while client.turn().await {
        let subject = pick(&mut client);
        match client.rng.random_range(0..100) {
            0..18 => create(&mut client, &subject).await,
            18..40 => update(&mut client, &subject).await,
            40..54 => patch(&mut client, &subject).await,
            54..62 => status(&mut client, &subject).await,
            62..76 => delete(&mut client, &subject).await,
            76..90 => get(&mut client, &subject).await,
            _ => list(&mut client, &subject).await,
        }
    }
}

fn pick(client: &mut Client) -> Subject {
    let rng = &mut client.rng;
    let (kind, letter) = match rng.random_bool(0.5) {
        true => (Kind::ConfigMap, "c"),
        false => (Kind::Pod, "p"),
    };
    Subject {
        kind,
        namespace: NAMESPACES.choose(rng).expect("there are namespaces"),
        name: format!("{letter}{}", rng.random_range(0..NAMES)),
    }
}

/// An object with a token of its own.
pub(super) fn draft(client: &mut Client, kind: Kind, name: &str) -> Value {
    let color = COLORS.choose(&mut client.rng).expect("there are colors");
    let mut object = json!({
        "kind": kind.name(),
        "apiVersion": kind.api_version(),
        "metadata": {
            "name": name,
            "labels": {COLOR: color},
            "annotations": {TOKEN: client.token()},
        },
    });
    match kind {
        Kind::ConfigMap => {
            object["data"] = json!({"number": client.rng.random_range(0..1_000).to_string()});
            if client.rng.random_bool(0.2) {
                object["metadata"]["finalizers"] = json!([FINALIZER]);
            }
        }
        Kind::Pod => {
            object["spec"] = json!({"containers": [{"name": "c", "image": "none"}]});
            if client.rng.random_bool(0.7) {
                let node = NODES.choose(&mut client.rng).expect("there are nodes");
                object["spec"]["nodeName"] = json!(node);
            }
        }
        _ => {}
    }
    object
}

async fn create(client: &mut Client, subject: &Subject) {
    let mut object = draft(client, subject.kind, &subject.name);
    let generated = subject.kind == Kind::ConfigMap && client.rng.random_bool(0.3);
    let mut name = subject.name.as_str();
    if generated {
        name = "";
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("name");
            metadata.insert("generateName".to_owned(), json!("g-"));
        }
    }
    let request = Request::new(Verb::Create, subject.kind, subject.namespace, name).with(object);
    let created = client.perform(request).await.ok();
    // What has a name nobody guesses goes soon, or there would be ever more.
    if let (true, Some(object)) = (generated, created)
        && client.rng.random_bool(0.9)
        && let Some(name) = object["metadata"]["name"].as_str()
    {
        let made = Subject {
            name: name.to_owned(),
            ..*subject
        };
        remove(client, &made, &object).await;
    }
}

/// The object as it is now, or lately.
async fn current(client: &mut Client, subject: &Subject) -> Option<Value> {
    let mut request = Request::new(Verb::Get, subject.kind, subject.namespace, &subject.name);
    if client.rng.random_bool(0.3) {
        request.ask = Ask::Any;
        request.query = "resourceVersion=0".to_owned();
    }
    client.perform(request).await.ok()
}

async fn update(client: &mut Client, subject: &Subject) {
    let Some(mut object) = current(client, subject).await else {
        return;
    };
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return remove(client, subject, &object).await;
    }
    let named = object::version(&object);
    change(client, &mut object);
    let mut request =
        Request::new(Verb::Update, subject.kind, subject.namespace, &subject.name).with(object);
    request.named = named;
    client.perform(request).await;
}

/// Another token, and often another color.
fn change(client: &mut Client, object: &mut Value) {
    let metadata = &mut object["metadata"];
    metadata["annotations"][TOKEN] = json!(client.token());
    if client.rng.random_bool(0.6) {
        let color = COLORS.choose(&mut client.rng).expect("there are colors");
        metadata["labels"][COLOR] = json!(color);
    }
}

async fn patch(client: &mut Client, subject: &Subject) {
    let token = client.token();
    let color = *COLORS.choose(&mut client.rng).expect("there are colors");
    let mut request = Request::new(Verb::Patch, subject.kind, subject.namespace, &subject.name);
    let merge = json!({"metadata": {"annotations": {TOKEN: token}, "labels": {COLOR: color}}});
    let escaped = TOKEN.replace('/', "~1");
    (request.media, request.body) = match client.rng.random_range(0..4) {
        0 => (
            "application/json-patch+json",
            Some(json!([
                {"op": "add", "path": format!("/metadata/annotations/{escaped}"), "value": token},
            ])),
        ),
        1 => ("application/merge-patch+json", Some(merge)),
        2 => ("application/strategic-merge-patch+json", Some(merge)),
        _ => {
            // One that names a version is as careful as an update.
            let Some(object) = current(client, subject).await else {
                return;
            };
            let mut merge = merge;
            request.named = object::version(&object);
            merge["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
            ("application/merge-patch+json", Some(merge))
        }
    };
    request.token = Some(token);
    client.perform(request).await;
}

async fn status(client: &mut Client, subject: &Subject) {
    if subject.kind != Kind::Pod {
        return get(client, subject).await;
    }
    let Some(mut object) = current(client, subject).await else {
        return;
    };
    let token = client.token();
    let phase = PHASES.choose(&mut client.rng).expect("there are phases");
    object["status"]["phase"] = json!(phase);
    object["status"]["reason"] = json!(token);
    let named = object::version(&object);
    let mut request =
        Request::new(Verb::Status, subject.kind, subject.namespace, &subject.name).with(object);
    request.subresource = "status";
    request.named = named;
    request.token = Some(token);
    client.perform(request).await;
}

async fn delete(client: &mut Client, subject: &Subject) {
    if client.rng.random_bool(0.4) {
        let mut request =
            Request::new(Verb::Delete, subject.kind, subject.namespace, &subject.name);
        if client.rng.random_bool(0.7) {
            request.query = "gracePeriodSeconds=0".to_owned();
        }
        client.perform(request).await;
        return;
    }
    if let Some(object) = current(client, subject).await {
        remove(client, subject, &object).await;
    }
}

/// Deletes exactly this object; whoever finds that it waits for its finalizer takes that away.
async fn remove(client: &mut Client, subject: &Subject, object: &Value) {
    let metadata = &object["metadata"];
    let going = !metadata["deletionTimestamp"].is_null();
    let finalizers = metadata["finalizers"].as_array().map_or(0, Vec::len);
    if going && finalizers > 0 {
        release(client, subject, object).await;
        return;
    }
    let mut request = Request::new(Verb::Delete, subject.kind, subject.namespace, &subject.name);
    let uid = metadata["uid"].as_str().unwrap_or_default().to_owned();
    let mut preconditions = json!({"uid": uid});
    if client.rng.random_bool(0.5) && !going {
        request.named = object::version(object);
        preconditions["resourceVersion"] = metadata["resourceVersion"].clone();
    }
    request.uid = Some(uid);
    let mut options = json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": preconditions,
    });
    if going || client.rng.random_bool(0.7) {
        options["gracePeriodSeconds"] = json!(0);
    }
    request.body = Some(options);
    if let Reply::Ok(left) = client.perform(request).await
        && left["metadata"]["finalizers"].is_array()
    {
        release(client, subject, &left).await;
    }
}

/// Takes the finalizer away.
async fn release(client: &mut Client, subject: &Subject, object: &Value) {
    let mut object = object.clone();
    let named = object::version(&object);
    change(client, &mut object);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("finalizers");
    }
    let mut request =
        Request::new(Verb::Update, subject.kind, subject.namespace, &subject.name).with(object);
    request.named = named;
    // With its last finalizer the object goes: this is a deletion, and no token will be seen.
    request.verb = Verb::Delete;
    request.puts = true;
    request.token = None;
    client.perform(request).await;
}

async fn get(client: &mut Client, subject: &Subject) {
    let mut request = Request::new(Verb::Get, subject.kind, subject.namespace, &subject.name);
    let newest = client.shared.newest.load(Ordering::Relaxed);
    (request.ask, request.query) = match client.rng.random_range(0..10) {
        0..6 => (Ask::Consistent, String::new()),
        6..8 => (Ask::Any, "resourceVersion=0".to_owned()),
        _ => (Ask::NotOlder(newest), format!("resourceVersion={newest}")),
    };
    client.perform(request).await;
}

async fn list(client: &mut Client, subject: &Subject) {
    let newest = client.shared.newest.load(Ordering::Relaxed);
    let mut wanted = Wanted {
        ask: match client.rng.random_range(0..10) {
            0..4 => Ask::Consistent,
            4..6 => Ask::Any,
            6..8 => Ask::NotOlder(newest),
            _ => Ask::Exact((newest - client.rng.random_range(0..2_000)).max(1)),
        },
        ..Wanted::default()
    };
    if client.rng.random_bool(0.4) {
        wanted.limit = Some(client.rng.random_range(1..15));
    }
    if client.rng.random_bool(0.3) {
        let color = COLORS.choose(&mut client.rng).expect("there are colors");
        let among = client.rng.random_bool(0.5);
        let label = (COLOR.to_owned(), among, vec![(*color).to_owned()]);
        wanted.labels.push(label);
    }
    if subject.kind == Kind::Pod && client.rng.random_bool(0.3) {
        let node = NODES.choose(&mut client.rng).expect("there are nodes");
        let field = ("spec.nodeName".to_owned(), true, (*node).to_owned());
        wanted.fields.push(field);
    }
    let namespace = match client.rng.random_bool(0.4) {
        true => "",
        false => subject.namespace,
    };
    let server = client.server();
    client.list(server, subject.kind, namespace, &wanted).await;
}
