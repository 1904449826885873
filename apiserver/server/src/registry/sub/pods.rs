//! Binding a pod to a node.

use http::StatusCode;
use hyper::body::Incoming;
use mainstay_kinds::Part;
use mainstay_machinery::meta;
use mainstay_machinery::status::StatusError;
use serde_json::{Value, json};

use super::super::codec::{self, Media};
use super::super::dispatch::{Registry, Request, read};
use super::super::update::Update;
use super::super::write::now;
use crate::answer::{self, Answer};
use crate::request::WriteOptions;

/// `pods/NAME/binding`, and `bindings` with the pod's name inside.
pub(super) async fn bind(registry: &Registry, request: &Request<'_>, body: Incoming) -> Answer {
    let options = WriteOptions::parse(request.call.query)?;
    let body = read(body).await?;
    let binding = mainstay_schema::resource("", "v1", "bindings")
        .ok_or_else(|| StatusError::internal("the table has no bindings"))?;
    let media = Media::of(request.content_type())?;
    let (binding, _) = codec::decode_body(
        &body,
        media,
        binding.gvk(),
        binding.ty,
        options.field_validation,
    )?;
    request.check_namespace(&binding)?;
    let name = match request.target.name.as_str() {
        "" => meta::name(&binding),
        name => name,
    };
    let target = &binding["target"];
    let node = target["name"].as_str().unwrap_or_default();
    if node.is_empty() || !matches!(target["kind"].as_str(), None | Some("" | "Node")) {
        return Err(StatusError::bad_request(
            "target.name: Required value: a binding needs the name of a node",
        ));
    }
    let pods = mainstay_schema::resource("", "v1", "pods")
        .ok_or_else(|| StatusError::internal("the table has no pods"))?;
    let update = Update {
        resource: pods,
        namespace: &request.target.namespace,
        name,
        part: Part::Main,
        direct: true,
        subresource: "binding",
        user: request.call.user,
        dry_run: options.dry_run,
        repeatable: true,
        may_create: false,
    };
    let change = |pod: Option<&Value>| {
        let pod = pod
            .ok_or_else(|| StatusError::not_found(super::super::write::of_resource(pods), name))?;
        bound(pod, &binding, node)
    };
    registry.update(&update, &change).await?;
    let success = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    answer::object(StatusCode::CREATED, &success, request.accepted)
}

/// The pod with its node, if it may have it.
fn bound(pod: &Value, binding: &Value, node: &str) -> Result<Value, StatusError> {
    let name = meta::name(pod);
    let conflict = |why: String| {
        let pods = mainstay_machinery::status::GroupResource::new("", "pods/binding");
        Err(StatusError::conflict(pods, name, &why))
    };
    let uid = meta::uid(binding);
    if !uid.is_empty() && uid != meta::uid(pod) {
        return conflict(format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            meta::uid(pod)
        ));
    }
    if meta::deletion_timestamp(pod).is_some() {
        return conflict(format!(
            "pod {name} is being deleted, cannot be assigned to a host"
        ));
    }
    let current = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if !current.is_empty() {
        return conflict(format!(
            "pod {name} is already assigned to node \"{current}\""
        ));
    }
    if pod["spec"]["schedulingGates"]
        .as_array()
        .is_some_and(|gates| !gates.is_empty())
    {
        return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let mut pod = pod.clone();
    pod["spec"]["nodeName"] = node.into();
    let annotations = binding["metadata"]["annotations"].as_object();
    for (key, value) in annotations.into_iter().flatten() {
        meta::set_annotation(&mut pod, key, value.as_str().unwrap_or_default());
    }
    set_scheduled(&mut pod);
    super::super::write::take_revision(&mut pod);
    Ok(pod)
}

fn set_scheduled(pod: &mut Value) {
    let condition = json!({
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": now(),
    });
    let conditions = &mut pod["status"]["conditions"];
    match conditions.as_array_mut() {
        None => *conditions = json!([condition]),
        Some(list) => match list.iter_mut().find(|own| own["type"] == "PodScheduled") {
            Some(own) => *own = condition,
            None => list.push(condition),
        },
    }
}
