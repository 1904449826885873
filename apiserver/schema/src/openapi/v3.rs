//! Version 3: an index and one document per group and version.

use super::ids;
use super::operations::{self, Answer, Body, Operation};
use super::paths::{self, PATCHES};
use super::schemas::{self, Style};
use crate::document::Document;
use crate::resources::{groups, resources};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

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
    let mut items = Map::new();
    for item in operations::paths(group, version) {
        for operation in &item.operations {
            for name in paths::types_of(operation) {
                schemas::close_over(name, &mut names);
            }
        }
        items.insert(item.path.clone(), paths::path_item(&item, &tag, Style::V3));
    }
    document(items, &names, (group, version))
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

/// Bodies and answers of an operation.
pub(super) fn contents(operation: &Operation) -> Value {
    let mut value = json!({ "responses": responses(operation.codes, &operation.answer) });
    if let Some(name) = paths::body_type(&operation.body) {
        let types = if operation.body == Body::Patch {
            PATCHES
        } else {
            &["*/*"]
        };
        value["requestBody"] = json!({ "content": content(types, &Style::V3.reference(name)) });
        if operation.body != Body::DeleteOptions {
            value["requestBody"]["required"] = true.into();
        }
    }
    value
}

fn content(types: &[&str], schema: &Value) -> Value {
    let entry = |ty: &&str| ((*ty).to_owned(), json!({ "schema": schema }));
    types.iter().map(entry).collect::<Map<_, _>>().into()
}

fn responses(codes: &[&str], answer: &Answer) -> Value {
    let schema = match paths::answer_type(answer) {
        Some(name) => Style::V3.reference(name),
        None => json!({ "type": "string" }),
    };
    let content = content(&paths::answered_as(answer), &schema);
    let mut responses = json!({ "401": { "description": paths::code_text("401") } });
    for code in codes {
        responses[*code] = json!({ "description": paths::code_text(code), "content": content });
    }
    responses
}
