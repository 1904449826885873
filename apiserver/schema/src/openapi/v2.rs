//! Version 2: one document for everything that is served.

use super::gnostic;
use super::ids;
use super::operations::{self, Body, Operation};
use super::paths::{self, PATCHES};
use super::schemas::{self, Style};
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
    let mut items = Map::new();
    let served: BTreeSet<_> = resources().iter().map(|r| (r.group, r.version)).collect();
    for (group, version) in served {
        let tag = ids::tag(group, version);
        for item in operations::paths(group, version) {
            for name in item.operations.iter().flat_map(paths::types_of) {
                schemas::close_over(name, &mut names);
            }
            items.insert(item.path.clone(), paths::path_item(&item, &tag, Style::V2));
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
        "paths": items,
        "definitions": names.iter().map(definition).collect::<Map<_, _>>(),
        "securityDefinitions": {
            "BearerToken": { "type": "apiKey", "name": "authorization", "in": "header" },
        },
        "security": [{ "BearerToken": [] }],
    })
}

/// Media types and answers of an operation.
pub(super) fn contents(operation: &Operation) -> Value {
    json!({
        "schemes": ["https"],
        "consumes": if operation.body == Body::Patch { PATCHES } else { &["*/*"] },
        "produces": paths::answered_as(&operation.answer),
        "responses": responses(operation),
    })
}

/// A body is one of the parameters.
pub(super) fn body_parameter(body: &Body) -> Option<Value> {
    let schema = Style::V2.reference(paths::body_type(body)?);
    let mut value = json!({ "name": "body", "in": "body", "schema": schema });
    if *body != Body::DeleteOptions {
        value["required"] = true.into();
    }
    Some(value)
}

fn responses(operation: &Operation) -> Value {
    let schema = match paths::answer_type(&operation.answer) {
        Some(name) => Style::V2.reference(name),
        None => json!({ "type": "string" }),
    };
    let mut responses = json!({ "401": { "description": paths::code_text("401") } });
    for code in operation.codes {
        responses[*code] = json!({ "description": paths::code_text(code), "schema": schema });
    }
    responses
}
