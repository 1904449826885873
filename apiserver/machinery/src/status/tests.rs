//! Texts and codes as upstream's.

use super::*;
use crate::field::{Error, ErrorList, Path};
use serde_json::json;

const PODS: GroupResource<'static> = GroupResource::new("", "pods");
const DEPLOYMENTS: GroupResource<'static> = GroupResource::new("apps", "deployments");

#[test]
fn messages_and_codes() {
    let required = ErrorList::from(Error::required(&Path::new("spec").child("containers"), ""));
    let mut two = required.clone();
    two.push(Error::invalid(&Path::new("metadata.name"), "A", "no"));
    for (error, code, reason, message) in [
        (
            StatusError::not_found(PODS, "x"),
            404,
            "NotFound",
            r#"pods "x" not found"#,
        ),
        (
            StatusError::not_found(DEPLOYMENTS, "x"),
            404,
            "NotFound",
            r#"deployments.apps "x" not found"#,
        ),
        (
            StatusError::already_exists(PODS, "x"),
            409,
            "AlreadyExists",
            r#"pods "x" already exists"#,
        ),
        (
            StatusError::modified(PODS, "x"),
            409,
            "Conflict",
            r#"Operation cannot be fulfilled on pods "x": the object has been modified; please apply your changes to the latest version and try again"#,
        ),
        (
            StatusError::invalid(GroupKind::new("", "Pod"), "x", &required),
            422,
            "Invalid",
            r#"Pod "x" is invalid: spec.containers: Required value"#,
        ),
        (
            StatusError::invalid(GroupKind::new("apps", "Deployment"), "x", &two),
            422,
            "Invalid",
            r#"Deployment.apps "x" is invalid: [spec.containers: Required value, metadata.name: Invalid value: "A": no]"#,
        ),
        (
            StatusError::forbidden(PODS, "x", "no"),
            403,
            "Forbidden",
            r#"pods "x" is forbidden: no"#,
        ),
        (
            StatusError::forbidden(PODS, "", "no"),
            403,
            "Forbidden",
            "pods is forbidden: no",
        ),
        (
            StatusError::unknown_path(),
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
        (
            StatusError::too_old_resource_version(3, 9),
            410,
            "Expired",
            "too old resource version: 3 (9)",
        ),
        (
            StatusError::unsupported_media_type(&["application/json", "application/yaml"]),
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml",
        ),
        (
            StatusError::method_not_supported(GroupResource::new("", "bindings"), "get"),
            405,
            "MethodNotAllowed",
            r#"get is not supported on resources of kind "bindings""#,
        ),
        (
            StatusError::from_http_code(422, "", GroupResource::default(), "", "x", false),
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        ),
    ] {
        assert_eq!(error.message, message);
        assert_eq!(
            (error.code, error.reason.as_str()),
            (code, reason),
            "{message}"
        );
        assert_eq!(StatusError::from_value(&error.to_value()), Some(error));
    }
}

#[test]
fn wire_form_names_every_cause() {
    let errors = ErrorList::from(Error::required(&Path::new("spec.containers"), ""));
    let status = StatusError::invalid(GroupKind::new("", "Pod"), "x", &errors);
    assert_eq!(
        status.to_value(),
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Pod \"x\" is invalid: spec.containers: Required value", "reason": "Invalid",
            "details": {"name": "x", "kind": "Pod", "causes": [
                {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers"}
            ]},
            "code": 422
        })
    );
}

#[test]
fn a_busy_server_says_when_to_come_back() {
    let status = StatusError::too_many_requests("wait", 10);
    assert_eq!(status.retry_after_seconds(), Some(10));
    assert_eq!(
        status.to_value()["details"],
        json!({"retryAfterSeconds": 10})
    );
    assert_eq!(StatusError::bad_request("x").retry_after_seconds(), None);
}

#[test]
fn forbidden_names_user_verb_and_place() {
    assert_eq!(
        forbidden_message("bob", "get", GroupResource::new("", "pods/log"), "ns"),
        r#"User "bob" cannot get resource "pods/log" in API group "" in the namespace "ns""#
    );
    assert_eq!(
        forbidden_message("bob", "list", GroupResource::new("apps", "deployments"), ""),
        r#"User "bob" cannot list resource "deployments" in API group "apps" at the cluster scope"#
    );
}
