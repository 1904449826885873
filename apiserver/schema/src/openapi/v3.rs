//! Version 3: an index and one document per group and version.

use super::ids;
use super::operations::{self, Answer, Body, Operation, PathItem};
use super::params::{Param, Place};
use super::schemas::{self, Style};
use crate::document::Document;
use crate::resources::{groups, resources};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
/// What objects are answered as.
pub(super) const CONTENT: &[&str] = &["application/json", "application/yaml"];
/// What lists and watches are answered as, besides.
pub(super) const STREAMED: &[&str] = &["application/json;stream=watch"];
pub(super) const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

struct Documents {
    index: Document,
    /// By the path below `/openapi/v3/`: `apis/apps/v1`.
    documents: BTreeMap<String, Document>,
}

/// `/openapi/v3`: where each document is, with the hash of its contents.
pub fn v3_index() -> &'static Document {
    &documents().index
}

/// The document of a path below `/openapi/v3/`, such as `api/v1` or `apis/apps/v1`.
pub fn v3_document(path: &str) -> Option<&'static Document> {
    documents().documents.get(path)
}

fn documents() -> &'static Documents {
    static DOCUMENTS: OnceLock<Documents> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let mut documents = BTreeMap::new();
        for (path, value) in roots().into_iter().chain(versions()) {
            documents.insert(path, Document::json(&value));
        }
        let entry = |(path, document): (&String, &Document)| {
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            (path.clone(), json!({ "serverRelativeURL": url }))
        };
        let paths: Map<_, _> = documents.iter().map(entry).collect();
        Documents {
            index: Document::json(&json!({ "paths": paths })),
            documents,
        }
    })
}

/// The documents that describe discovery itself.
fn roots() -> Vec<(String, Value)> {
    let mut roots = vec![
        (
            "api".to_owned(),
            root("/api/", "getCoreAPIVersions", "core", "APIVersions"),
        ),
        (
            "apis".to_owned(),
            root("/apis/", "getAPIVersions", "apis", "APIGroupList"),
        ),
    ];
    for (group, versions) in groups() {
        let id = ids::group_version(group, versions[0]);
        let id = id
            .strip_suffix(&ids::title(versions[0]))
            .unwrap_or(&id)
            .to_owned();
        let tag = ids::tag(group, "");
        let path = format!("apis/{group}");
        let url = format!("/{path}/");
        let tag = tag.trim_end_matches('_');
        roots.push((
            path,
            root(&url, &format!("get{id}APIGroup"), tag, "APIGroup"),
        ));
    }
    roots
}

fn root(url: &str, id: &str, tag: &str, kind: &str) -> Value {
    let schema = crate::schema();
    let ty = schema
        .by_gvk("", "v1", kind)
        .expect("kinds of discovery have types");
    let name = schema.get(ty).name;
    let operation = json!({
        "operationId": id,
        "tags": [tag],
        "responses": responses(&["200"], &Answer::Object(name)),
    });
    let mut names = BTreeSet::new();
    schemas::close_over(name, &mut names);
    let mut paths = Map::new();
    paths.insert(url.to_owned(), json!({ "get": operation }));
    document(paths, &names, ("", "v1"))
}

fn versions() -> Vec<(String, Value)> {
    let served: BTreeSet<_> = resources().iter().map(|r| (r.group, r.version)).collect();
    let version = |(group, version): &(&'static str, &'static str)| {
        let path = operations::root(group, version);
        (
            path.trim_start_matches('/').to_owned(),
            version_document(group, version),
        )
    };
    served.iter().map(version).collect()
}

fn version_document(group: &'static str, version: &'static str) -> Value {
    let tag = ids::tag(group, version);
    let mut names = BTreeSet::new();
    let mut paths = Map::new();
    for item in operations::paths(group, version) {
        for operation in &item.operations {
            for name in types_of(operation) {
                schemas::close_over(name, &mut names);
            }
        }
        paths.insert(item.path.clone(), path_item(&item, &tag));
    }
    document(paths, &names, (group, version))
}

/// Every type that an operation takes or answers with.
pub(super) fn types_of(operation: &Operation) -> Vec<&'static str> {
    let mut names = Vec::new();
    match operation.body {
        Body::None => {}
        Body::Object(name) => names.push(name),
        Body::DeleteOptions => names.push(DELETE_OPTIONS),
        Body::Patch => names.push(PATCH),
    }
    match operation.answer {
        Answer::Object(name) | Answer::Watchable(name) => names.push(name),
        Answer::Stream | Answer::Text => {}
    }
    names
}

fn document(
    paths: Map<String, Value>,
    names: &BTreeSet<&'static str>,
    (group, version): (&str, &str),
) -> Value {
    let schema = crate::schema();
    let mut definitions = Map::new();
    for name in names {
        let def = schema.get(schema.by_name(name).expect("references lead to types"));
        // Kinds that belong to every version are told for this one and for the core only.
        let shared = def.gvks.len() > 1;
        let listed = |gvk: &crate::Gvk| {
            !shared || (gvk.group, gvk.version) == (group, version) || gvk.group.is_empty()
        };
        definitions.insert((*name).into(), schemas::definition(def, Style::V3, listed));
    }
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": "unversioned" },
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "BearerToken": { "type": "apiKey", "name": "authorization", "in": "header" },
            },
        },
    })
}

/// Parameters that all operations of a path share stand at the path.
pub(super) fn shared_params(item: &PathItem) -> Vec<Param> {
    let mut operations = item.operations.iter();
    let Some(first) = operations.next() else {
        return Vec::new();
    };
    let everywhere = |param: &&Param| operations.clone().all(|op| op.params.contains(param));
    first.params.iter().filter(everywhere).copied().collect()
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
    let schema = json!({ "type": param.ty, "uniqueItems": true });
    let mut value = json!({ "name": param.name, "in": place, "schema": schema });
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
    let own: Vec<_> = own.map(parameter).collect();
    let mut value = json!({
        "operationId": operation.id,
        "tags": [tag],
        "responses": responses(operation.codes, &operation.answer),
    });
    if !own.is_empty() {
        value["parameters"] = own.into();
    }
    if let Some(body) = request_body(&operation.body) {
        value["requestBody"] = body;
    }
    if !operation.action.is_empty() {
        value["x-kubernetes-action"] = operation.action.into();
    }
    if let Some(gvk) = &operation.gvk {
        value["x-kubernetes-group-version-kind"] = schemas::gvk(gvk);
    }
    value
}

fn request_body(body: &Body) -> Option<Value> {
    let (name, types, required) = match body {
        Body::None => return None,
        Body::Object(name) => (*name, &["*/*"][..], true),
        Body::DeleteOptions => (DELETE_OPTIONS, &["*/*"][..], false),
        Body::Patch => (PATCH, PATCHES, true),
    };
    let mut value = json!({ "content": content(types, &Style::V3.reference(name)) });
    if required {
        value["required"] = true.into();
    }
    Some(value)
}

fn content<'a>(types: impl IntoIterator<Item = &'a &'a str>, schema: &Value) -> Value {
    let entry = |ty: &&str| ((*ty).to_owned(), json!({ "schema": schema }));
    types.into_iter().map(entry).collect::<Map<_, _>>().into()
}

fn responses(codes: &[&str], answer: &Answer) -> Value {
    let text = json!({ "type": "string" });
    let content = match answer {
        Answer::Object(name) => content(CONTENT, &Style::V3.reference(name)),
        Answer::Watchable(name) => {
            content(CONTENT.iter().chain(STREAMED), &Style::V3.reference(name))
        }
        Answer::Stream => content(&["*/*"], &text),
        Answer::Text => content(&["text/plain"], &text),
    };
    let mut responses = json!({ "401": { "description": code_text("401") } });
    for code in codes {
        responses[*code] = json!({ "description": code_text(code), "content": content });
    }
    responses
}

pub(super) fn code_text(code: &str) -> &'static str {
    match code {
        "200" => "OK",
        "201" => "Created",
        "202" => "Accepted",
        _ => "Unauthorized",
    }
}
