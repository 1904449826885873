//! What is there before the load, and what is written after it.

use super::super::client::{Client, Reply, Request, Shared};
use super::super::kind::Kind;
use super::super::object;
use super::leader::{LEASE, LEDGER};
use super::objects::draft;
use super::{COLOR, NAMESPACES};
use crate::limits::{API_LAST_WRITES_DEADLINE, API_READY_DEADLINE, POLL_INTERVAL};
use anyhow::{Result, bail};
use mainstay_check::api::Verb;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::{Instant, sleep};

/// The places of clients that are no load.
const FIRST_SLOT: usize = 100_000;
const LAST_SLOT: usize = 200_000;

/// Namespaces with the account that pods run as, a lease and a ledger.
pub(in crate::api) async fn prepare(shared: &Arc<Shared>) -> Result<()> {
    let mut client = Client::new(shared, FIRST_SLOT);
    for name in NAMESPACES {
        let namespace = draft(&mut client, Kind::Namespace, name);
        make(&mut client, Kind::Namespace, "", name, namespace).await?;
        account(&mut client, name).await?;
    }
    let namespace = NAMESPACES[0];
    let mut lease = draft(&mut client, Kind::Lease, LEASE);
    lease["spec"] = json!({"holderIdentity": "nobody", "leaseTransitions": 0});
    make(&mut client, Kind::Lease, namespace, LEASE, lease).await?;
    let ledger = draft(&mut client, Kind::ConfigMap, LEDGER);
    make(
        &mut client,
        Kind::ConfigMap,
        namespace,
        LEDGER,
        bare(ledger),
    )
    .await
}

fn bare(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("finalizers");
    }
    object
}

async fn make(
    client: &mut Client,
    kind: Kind,
    namespace: &str,
    name: &str,
    object: Value,
) -> Result<()> {
    let request = Request::new(Verb::Create, kind, namespace, name).with(object);
    match client.perform_at(0, request).await {
        Reply::Ok(_) => Ok(()),
        other => bail!("{} {name} could not be created: {other:?}", kind.name()),
    }
}

/// A service account is no kind that the load works with, so it is not recorded as a call.
async fn account(client: &mut Client, namespace: &str) -> Result<()> {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    let body =
        json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default"}});
    let request = super::super::client::http_request(
        http::Method::POST,
        &path,
        Some(body.to_string()),
        "application/json",
    );
    let deadline = client.shared.deadline;
    let until = Instant::now() + API_READY_DEADLINE;
    let conn = client
        .conn(0)
        .await
        .map_err(|trouble| anyhow::anyhow!(trouble.text))?;
    match conn.call(request, deadline).await {
        Ok((201, _)) => {}
        Ok((status, body)) => bail!("{path}: {status} {}", String::from_utf8_lossy(&body)),
        Err(trouble) => bail!("{path}: {}", trouble.text),
    }
    // The server that admits pods knows accounts from its cache.
    let name = "probe";
    while Instant::now() < until {
        let pod = draft(client, Kind::Pod, name);
        let create = Request::new(Verb::Create, Kind::Pod, namespace, name).with(pod);
        if let Reply::Ok(_) = client.perform_at(0, create).await {
            let mut delete = Request::new(Verb::Delete, Kind::Pod, namespace, name);
            delete.query = "gracePeriodSeconds=0".to_owned();
            client.perform_at(0, delete).await;
            return Ok(());
        }
        sleep(POLL_INTERVAL).await;
    }
    bail!("no pod could be created in {namespace}")
}

/// One last change for every informer to see; the version of the first of them.
pub(in crate::api) async fn last_writes(shared: &Arc<Shared>) -> Option<i64> {
    let mut client = Client::new(shared, LAST_SLOT);
    let mut first = None;
    let service = json!({"ports": [{"port": 80}], "clusterIP": "None"});
    let lease = json!({"holderIdentity": "last"});
    let on = |node: &str| json!({"nodeName": node, "containers": [{"name": "c", "image": "none"}]});
    let plan = [
        (Kind::ConfigMap, "a", "c3", Value::Null),
        (Kind::ConfigMap, "b", "last", Value::Null),
        (Kind::Pod, "a", "last-1", on("n1")),
        (Kind::Pod, "a", "last-2", on("n2")),
        (Kind::Service, "a", "last", service),
        (Kind::Lease, "a", "last", lease),
        (Kind::Namespace, "", "last", Value::Null),
    ];
    for (kind, namespace, name, spec) in plan {
        let version = appear(&mut client, kind, namespace, name, spec).await?;
        first = first.or(Some(version));
    }
    first
}

/// Makes an object that all selections of its place see, if it must by changing it.
async fn appear(
    client: &mut Client,
    kind: Kind,
    namespace: &str,
    name: &str,
    spec: Value,
) -> Option<i64> {
    let until = Instant::now() + API_LAST_WRITES_DEADLINE;
    let mut server = 0;
    while Instant::now() < until {
        server = (server + 1) % client.shared.addresses.len();
        let mut object = bare(draft(client, kind, name));
        object["metadata"]["labels"][COLOR] = json!("red");
        if !spec.is_null() {
            object["spec"] = spec.clone();
        }
        let create = Request::new(Verb::Create, kind, namespace, name).with(object);
        if let Reply::Ok(made) = client.perform_at(server, create).await {
            if kind == Kind::Pod {
                return run(client, namespace, name, made).await;
            }
            return object::version(&made);
        }
        let get = Request::new(Verb::Get, kind, namespace, name);
        let Some(mut there) = client.perform_at(server, get).await.ok() else {
            continue;
        };
        let named = object::version(&there);
        there["metadata"]["annotations"][object::TOKEN] = json!(client.token());
        there["metadata"]["labels"][COLOR] = json!("red");
        let mut update = Request::new(Verb::Update, kind, namespace, name).with(there);
        update.named = named;
        if let Reply::Ok(changed) = client.perform_at(server, update).await {
            return object::version(&changed);
        }
    }
    None
}

/// Lets the status of a pod say that it runs.
async fn run(client: &mut Client, namespace: &str, name: &str, mut pod: Value) -> Option<i64> {
    let until = Instant::now() + API_LAST_WRITES_DEADLINE;
    let first = object::version(&pod);
    while Instant::now() < until {
        let token = client.token();
        pod["status"]["phase"] = json!("Running");
        pod["status"]["reason"] = json!(token);
        let mut request = Request::new(Verb::Status, Kind::Pod, namespace, name).with(pod.clone());
        request.subresource = "status";
        request.named = object::version(&pod);
        request.token = Some(token);
        match client.perform_at(0, request).await {
            Reply::Ok(_) => return first,
            _ => {
                let get = Request::new(Verb::Get, Kind::Pod, namespace, name);
                pod = client.perform_at(0, get).await.ok().unwrap_or(pod);
            }
        }
    }
    None
}
