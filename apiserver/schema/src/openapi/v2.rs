//! Version 2: one document for everything that is served.

use super::gnostic;
use super::ids;
use super::operations::{self, Answer, Body, Operation, PathItem};
use super::params::{Param, Place};
use super::schemas::{self, Style};
use super::v3::{CONTENT, PATCHES, STREAMED, code_text, shared_params, types_of};
use crate::document::Document;
use crate::resources::resources;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// `/openapi/v2` as JSON.
pub fn v2_json() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| Document::json(&document()))
}

/// `/openapi/v2` as protobuf: what kubectl before 1.29 reads types from, and later ones in case of need.
pub fn v2_protobuf() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| Document::new(gnostic::encode(&document()).into()))
}

fn document() -> Value {
    let mut names = BTreeSet::new();
    let mut paths = Map::new();
    let served: BTreeSet<_> = resources().iter().map(|r| (r.group, r.version)).collect();
    for (group, version) in served {
        let tag = ids::tag(group, version);
        for item in operations::paths(group, version) {
            for name in item.operations.iter().flat_map(types_of) {
                schemas::close_over(name, &mut names);
            }
            paths.insert(item.path.clone(), path_item(&item, &tag));
        }
    }
    let schema = crate::schema();
    let definition = |name: &&'static str| {
        let def = schema.get(schema.by_name(name).expect("references lead to types"));
        (
            (*name).to_owned(),
            schemas::definition(def, Style::V2, |_| true),
        )
    };
    json!({
        "swagger": "2.0",
        "info": { "title": "Kubernetes", "version": "unversioned" },
        "paths": paths,
        "definitions": names.iter().map(definition).collect::<Map<_, _>>(),
        "securityDefinitions": {
            "BearerToken": { "type": "apiKey", "name": "authorization", "in": "header" },
        },
        "security": [{ "BearerToken": [] }],
    })
}

fn path_item(item: &PathItem, tag: &str) -> Value {
    let shared = shared_params(item);
    let mut value = Map::new();
    if !shared.is_empty() {
        value.insert("parameters".into(), shared.iter().map(parameter).collect());
    }
    for operation in &item.operations {
        value.insert(
            operation.method.into(),
            operation_value(operation, &shared, tag),
        );
    }
    value.into()
}

fn parameter(param: &Param) -> Value {
    let place = if param.place == Place::Path {
        "path"
    } else {
        "query"
    };
    let mut value =
        json!({ "name": param.name, "in": place, "type": param.ty, "uniqueItems": true });
    if param.required() {
        value["required"] = true.into();
    }
    value
}

fn operation_value(operation: &Operation, shared: &[Param], tag: &str) -> Value {
    let own = operation
        .params
        .iter()
        .filter(|param| !shared.contains(param));
    let mut params: Vec<_> = own.map(parameter).collect();
    params.extend(body_parameter(&operation.body));
    let mut value = json!({
        "operationId": operation.id,
        "tags": [tag],
        "schemes": ["https"],
        "consumes": if operation.body == Body::Patch { PATCHES } else { &["*/*"] },
        "produces": produces(&operation.answer),
        "responses": responses(operation),
    });
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

fn body_parameter(body: &Body) -> Option<Value> {
    let name = match body {
        Body::None => return None,
        Body::Object(name) => *name,
        Body::DeleteOptions => "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
        Body::Patch => "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    };
    let mut value = json!({ "name": "body", "in": "body", "schema": Style::V2.reference(name) });
    if *body != Body::DeleteOptions {
        value["required"] = true.into();
    }
    Some(value)
}

fn produces(answer: &Answer) -> Vec<&'static str> {
    match answer {
        Answer::Object(_) => CONTENT.to_vec(),
        Answer::Watchable(_) => [CONTENT, STREAMED].concat(),
        Answer::Stream => vec!["*/*"],
        Answer::Text => vec!["text/plain"],
    }
}

fn responses(operation: &Operation) -> Value {
    let schema = match operation.answer {
        Answer::Object(name) | Answer::Watchable(name) => Style::V2.reference(name),
        Answer::Stream | Answer::Text => json!({ "type": "string" }),
    };
    let mut responses = json!({ "401": { "description": code_text("401") } });
    for code in operation.codes {
        responses[*code] = json!({ "description": code_text(code), "schema": schema });
    }
    responses
}
