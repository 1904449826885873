//! Logs, commands, forwarded ports and proxies: what kubelets and pods answer.

mod behind;
mod container;
mod log;
mod node;
mod remote;

use mainstay_machinery::status::StatusError;
use serde_json::Value;

use super::super::dispatch::{Registry, Request};
use super::super::write::of_resource;
use crate::answer::Answer;
use crate::proxy::{Passing, cleaned, pass_on};
use crate::upload::Upload;

/// Answers for a subresource that leads to a container of a pod.
pub(super) async fn answer(registry: &Registry, request: &Request<'_>) -> Answer {
    match request.target.subresource.as_str() {
        "log" => log::answer(registry, request).await,
        "exec" | "attach" | "portforward" => {
            remote::check_create(registry, request)?;
            no_dry_run(request)?;
            remote::answer(registry, request).await
        }
        _ => Err(StatusError::unknown_path()),
    }
}

/// Passes a request on to a node, a pod or a service.
pub(super) async fn proxy(registry: &Registry, request: &Request<'_>, body: Upload) -> Answer {
    no_dry_run(request)?;
    let (mut location, backend) = match request.resource.plural {
        "nodes" => node::location(registry, request).await?,
        "pods" => behind::pod(registry, request).await?,
        "services" => behind::service(registry, request).await?,
        _ => return Err(StatusError::unknown_path()),
    };
    let ends_in_slash = request.call.info.path.ends_with('/');
    location.path = cleaned(&request.target.rest, ends_in_slash);
    let passing = Passing {
        call: request.call,
        room: &registry.room,
        backend,
        location,
    };
    pass_on(passing, body).await
}

fn no_dry_run(request: &Request<'_>) -> Result<(), StatusError> {
    let asked = request.call.query.get("dryRun");
    match asked.is_some_and(|text| !text.is_empty()) {
        true => Err(StatusError::bad_request("dryRun is not supported")),
        false => Ok(()),
    }
}

async fn pod(registry: &Registry, request: &Request<'_>, name: &str) -> Result<Value, StatusError> {
    let namespace = &request.target.namespace;
    let found = registry
        .find_newest(request.resource, namespace, name)
        .await?;
    found.ok_or_else(|| StatusError::not_found(of_resource(request.resource), name))
}

fn node_of(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}
