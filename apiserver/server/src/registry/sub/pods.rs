//! Binding a pod to a node.

use http::StatusCode;
use mainstay_kinds::Part;
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::meta;
use mainstay_machinery::status::{Reason, StatusError};
use serde_json::{Value, json};

use super::super::codec::{self, Media};
use super::super::dispatch::{Registry, Request, read};
use super::super::update::Update;
use super::super::write::now;
use crate::answer::{self, Answer};
use crate::upload::Upload;

/// `pods/NAME/binding`, and `bindings` with the pod's name inside.
pub(super) async fn bind(registry: &Registry, request: &Request<'_>, body: Upload) -> Answer {
    let options = request.write_options()?;
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
    if name != meta::name(&binding) {
        return Err(StatusError::bad_request(
            "name in URL does not match name in Binding object",
        ));
    }
    let node = target_node(&binding)?;
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

/// The node that a binding names.
fn target_node(binding: &Value) -> Result<&str, StatusError> {
    let (path, target) = (Path::new("target"), &binding["target"]);
    let text = |field: &str| target[field].as_str().unwrap_or_default();
    let mut errors = ErrorList::default();
    if !matches!(text("kind"), "" | "Node") {
        let known = ["Node", "<empty>"];
        errors.push(Error::not_supported(
            &path.child("kind"),
            text("kind"),
            &known,
        ));
    }
    if text("name").is_empty() {
        errors.push(Error::required(&path.child("name"), ""));
    }
    match errors.is_empty() {
        true => Ok(target["name"].as_str().unwrap_or_default()),
        // Upstream does not make a refusal of it.
        false => Err(StatusError::new(500, Reason::Unknown, errors.to_string())),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_names_a_node() {
        let of = |target: Value| {
            let binding = json!({"metadata": {"name": "p"}, "target": target});
            target_node(&binding)
                .map(str::to_owned)
                .map_err(|e| e.message)
        };
        assert_eq!(of(json!({"name": "n"})), Ok("n".to_owned()));
        assert_eq!(of(json!({"kind": "Node", "name": "n"})), Ok("n".to_owned()));
        assert_eq!(
            of(json!({"kind": "Pod"})),
            Err("[target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\", target.name: Required value]".to_owned())
        );
    }

    #[test]
    fn a_pod_is_bound_once() {
        let pod = json!({"metadata": {"name": "p", "uid": "u"}, "spec": {}});
        let binding = json!({"metadata": {"name": "p", "annotations": {"a": "b"}}});
        let bound_pod = bound(&pod, &binding, "n").unwrap();
        assert_eq!(bound_pod["spec"]["nodeName"], "n");
        assert_eq!(bound_pod["metadata"]["annotations"]["a"], "b");
        assert_eq!(bound_pod["status"]["conditions"][0]["type"], "PodScheduled");
        let again = bound(&bound_pod, &binding, "m").unwrap_err();
        assert!(
            again
                .message
                .ends_with("pod p is already assigned to node \"n\"")
        );
        let other = json!({"metadata": {"name": "p", "uid": "v"}});
        assert_eq!(bound(&pod, &other, "n").unwrap_err().code, 409);
        let gated =
            json!({"metadata": {"name": "p"}, "spec": {"schedulingGates": [{"name": "g"}]}});
        assert_eq!(bound(&gated, &binding, "n").unwrap_err().code, 409);
    }
}
