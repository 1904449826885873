//! What both versions say of paths in the same way.

use super::operations::{Answer, Body, Operation, PathItem};
use super::params::{Param, Place};
use super::schemas::{self, Style};
use super::{v2, v3};
use serde_json::{Map, Value, json};

const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// What objects are answered as.
pub(super) const CONTENT: &[&str] = &["application/json", "application/yaml"];
/// What lists and watches are answered as, besides.
pub(super) const STREAMED: &[&str] = &["application/json;stream=watch"];
/// What patches come as.
pub(super) const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// A path with its operations. Parameters that all of them share stand at the path.
pub(super) fn path_item(item: &PathItem, tag: &str, style: Style) -> Value {
    let shared = shared_params(item);
    let mut value = Map::new();
    if !shared.is_empty() {
        value.insert(
            "parameters".into(),
            shared.iter().map(|p| parameter(p, style)).collect(),
        );
    }
    for operation in &item.operations {
        value.insert(
            operation.method.into(),
            operation_value(operation, &shared, tag, style),
        );
    }
    value.into()
}

fn shared_params(item: &PathItem) -> Vec<Param> {
    let mut operations = item.operations.iter();
    let Some(first) = operations.next() else {
        return Vec::new();
    };
    let everywhere = |param: &&Param| operations.clone().all(|op| op.params.contains(param));
    first.params.iter().filter(everywhere).copied().collect()
}

fn parameter(param: &Param, style: Style) -> Value {
    let place = if param.place == Place::Path {
        "path"
    } else {
        "query"
    };
    let ty = json!({ "type": param.ty, "uniqueItems": true });
    let mut value = match style {
        Style::V2 => ty,
        Style::V3 => json!({ "schema": ty }),
    };
    value["name"] = param.name.into();
    value["in"] = place.into();
    if param.required() {
        value["required"] = true.into();
    }
    value
}

fn operation_value(operation: &Operation, shared: &[Param], tag: &str, style: Style) -> Value {
    let mut value = match style {
        Style::V2 => v2::contents(operation),
        Style::V3 => v3::contents(operation),
    };
    let own = operation
        .params
        .iter()
        .filter(|param| !shared.contains(param));
    let mut params: Vec<_> = own.map(|param| parameter(param, style)).collect();
    if style == Style::V2 {
        params.extend(v2::body_parameter(&operation.body));
    }
    value["operationId"] = operation.id.clone().into();
    value["tags"] = json!([tag]);
    if !params.is_empty() {
        value["parameters"] = params.into();
    }
    if !operation.action.is_empty() {
        value["x-kubernetes-action"] = operation.action.into();
    }
    if let Some(gvk) = &operation.gvk {
        value["x-kubernetes-group-version-kind"] = schemas::gvk(gvk);
    }
    value
}

/// The type of a body.
pub(super) fn body_type(body: &Body) -> Option<&'static str> {
    match body {
        Body::None => None,
        Body::Object(name) => Some(name),
        Body::DeleteOptions => Some(DELETE_OPTIONS),
        Body::Patch => Some(PATCH),
    }
}

/// The type of an answer, which streams do not have.
pub(super) fn answer_type(answer: &Answer) -> Option<&'static str> {
    match answer {
        Answer::Object(name) | Answer::Watchable(name) => Some(name),
        Answer::Stream | Answer::Text => None,
    }
}

/// The media types of an answer.
pub(super) fn answered_as(answer: &Answer) -> Vec<&'static str> {
    match answer {
        Answer::Object(_) => CONTENT.to_vec(),
        Answer::Watchable(_) => [CONTENT, STREAMED].concat(),
        Answer::Stream => vec!["*/*"],
        Answer::Text => vec!["text/plain"],
    }
}

/// Every type that an operation takes or answers with.
pub(super) fn types_of(operation: &Operation) -> impl Iterator<Item = &'static str> {
    body_type(&operation.body)
        .into_iter()
        .chain(answer_type(&operation.answer))
}

pub(super) fn code_text(code: &str) -> &'static str {
    match code {
        "200" => "OK",
        "201" => "Created",
        "202" => "Accepted",
        _ => "Unauthorized",
    }
}
