//! The kubelet of a node.

use mainstay_machinery::gofmt::quote;
use mainstay_machinery::status::{Reason, StatusError};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::super::super::dispatch::{Registry, Request};
use super::super::super::write::of_resource;
use crate::kubelet::{Endpoint, endpoint};
use crate::limits::POD_DIAL_TIMEOUT;
use crate::proxy::{Backend, Location, is_reachable, split};

/// Where the kubelet of a node listens.
pub(super) async fn kubelet(registry: &Registry, name: &str) -> Result<Endpoint, StatusError> {
    let nodes = mainstay_schema::resource("", "v1", "nodes")
        .ok_or_else(|| StatusError::internal("the table has no nodes"))?;
    let node = registry.find_newest(nodes, "", name).await?;
    let node = node.ok_or_else(|| StatusError::not_found(of_resource(nodes), name))?;
    let kubelets = &registry.kubelets;
    // Upstream passes the error on without a reason.
    endpoint(&node, &kubelets.preferred, kubelets.port)
        .map_err(|text| StatusError::new(500, Reason::Unknown, text))
}

/// The location of a path at a kubelet.
pub(super) fn at(kubelet: Endpoint, path: String, query: String) -> Location {
    Location {
        secure: true,
        host: kubelet.host,
        port: kubelet.port.to_string(),
        path,
        query,
    }
}

/// Where `nodes/NAME/proxy` leads: to the kubelet, or to another port of the node, which is spoken to as a pod is.
pub(super) async fn location(
    registry: &Registry,
    request: &Request<'_>,
) -> Result<(Location, Backend), StatusError> {
    let id = &request.target.name;
    let (scheme, name, port) = split(id)
        .ok_or_else(|| StatusError::bad_request(format!("invalid node request {}", quote(id))))?;
    let kubelet = kubelet(registry, name).await?;
    check_host(&kubelet.host)
        .await
        .map_err(StatusError::bad_request)?;
    let own = kubelet.port.to_string();
    let location = at(kubelet, String::new(), String::new());
    if port.is_empty() || port == own {
        return Ok((location, registry.kubelets.backend(false)));
    }
    let other = Location {
        secure: scheme == "https",
        port: port.to_owned(),
        ..location
    };
    Ok((other, registry.pods.clone()))
}

/// Nodes that say they are this machine are not believed.
async fn check_host(host: &str) -> Result<(), String> {
    let no_host = || format!("lookup {host}: no such host");
    let found = timeout(POD_DIAL_TIMEOUT, lookup_host((host, 0))).await;
    let mut found = found.map_err(|_| no_host())?.map_err(|_| no_host())?;
    match found.all(|address| is_reachable(address.ip())) {
        true => Ok(()),
        false => Err("address not allowed".to_owned()),
    }
}
