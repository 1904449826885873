//! The OpenAPI documents say of every type what those of Kubernetes 1.36 say, and list the same operations.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "in a test a panic is the report"
)]

mod golden;

use mainstay_schema::{openapi, resources};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Query parameters of upstream that this server does not have: they belong to server-side apply, to sharded
/// lists, and to deleting what cannot be read.
const NOT_SERVED: &[&str] = &[
    "force",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "shardSelector",
];

/// (path of our document, path of the golden file) for every version served.
fn documents() -> Option<Vec<(String, Value)>> {
    let folder = golden::folder("openapi-v3")?;
    let versions: BTreeSet<_> = resources().iter().map(|r| (r.group, r.version)).collect();
    let document = |(group, version): &(&str, &str)| {
        let path = match *group {
            "" => format!("api/{version}"),
            group => format!("apis/{group}/{version}"),
        };
        let file = format!("{}_openapi.json", path.replace('/', "__"));
        (path, golden::json(&folder.join(file)))
    };
    Some(versions.iter().map(document).collect())
}

fn ours(path: &str) -> Value {
    let document = openapi::v3_document(path).unwrap_or_else(|| panic!("no document {path}"));
    serde_json::from_slice(&document.body).unwrap()
}

/// Takes away how things are said, so that what is said can be compared: descriptions, enums (the golden
/// documents were made without), the wrapping of references, and the order of required fields.
fn normalized(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("description", Value::String(_)) | ("enum", Value::Array(_)) => {}
                    ("allOf", Value::Array(items)) if items.len() == 1 => {
                        out.insert("$ref".into(), items[0]["$ref"].clone());
                    }
                    ("required" | "x-kubernetes-group-version-kind", Value::Array(items)) => {
                        let mut items = items.clone();
                        items.sort_by_key(Value::to_string);
                        out.insert(key.clone(), items.into());
                    }
                    _ => {
                        out.insert(key.clone(), normalized(value));
                    }
                }
            }
            out.into()
        }
        Value::Array(items) => items.iter().map(normalized).collect(),
        _ => value.clone(),
    }
}

#[test]
fn every_schema_is_as_upstream() {
    let Some(documents) = documents() else { return };
    let mut compared = 0;
    for (path, expected) in documents {
        let ours = ours(&path);
        let expected = expected["components"]["schemas"].as_object().unwrap();
        let ours = ours["components"]["schemas"].as_object().unwrap();
        assert_eq!(
            ours.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>(),
            "{path}"
        );
        for (name, expected) in expected {
            assert_eq!(
                normalized(&ours[name]),
                normalized(expected),
                "{path}: {name}"
            );
            compared += 1;
        }
    }
    assert!(compared > 900, "{compared}");
}

/// Parameters of an operation with those of its path, sorted, as (place, name, type, required).
fn params(item: &Value, operation: &Value) -> BTreeSet<String> {
    let lists = [&item["parameters"], &operation["parameters"]];
    let params = lists.into_iter().filter_map(Value::as_array).flatten();
    let served = params.filter(|p| !NOT_SERVED.contains(&p["name"].as_str().unwrap()));
    served.map(|p| normalized(p).to_string()).collect()
}

fn body_schema(content: &Value) -> Option<&Value> {
    Some(&content.as_object()?.values().next()?["schema"])
}

#[test]
fn every_operation_is_as_upstream() {
    let Some(documents) = documents() else { return };
    let mut compared = 0;
    for (path, expected) in documents {
        let ours = ours(&path);
        let paths = |document: &Value| -> Vec<String> {
            document["paths"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect()
        };
        assert_eq!(paths(&ours), paths(&expected));
        for (path, expected_item) in expected["paths"].as_object().unwrap() {
            let item = &ours["paths"][path];
            for (method, expected) in expected_item.as_object().unwrap() {
                if method == "parameters" {
                    continue;
                }
                let operation = &item[method];
                for key in [
                    "operationId",
                    "tags",
                    "x-kubernetes-action",
                    "x-kubernetes-group-version-kind",
                ] {
                    assert_eq!(operation[key], expected[key], "{method} {path}");
                }
                assert_eq!(
                    params(item, operation),
                    params(expected_item, expected),
                    "{method} {path}"
                );
                let body = |operation: &Value| {
                    (
                        operation["requestBody"]["required"].clone(),
                        body_schema(&operation["requestBody"]["content"]).cloned(),
                    )
                };
                assert_eq!(body(operation), body(expected), "{method} {path}");
                let answers = |operation: &Value| -> Vec<_> {
                    let codes = operation["responses"].as_object().unwrap().iter();
                    codes
                        .map(|(code, answer)| {
                            (code.clone(), body_schema(&answer["content"]).cloned())
                        })
                        .collect()
                };
                assert_eq!(answers(operation), answers(expected), "{method} {path}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 789);
}

#[test]
fn the_index_leads_to_every_document() {
    let index: Value = serde_json::from_slice(&openapi::v3_index().body).unwrap();
    let paths = index["paths"].as_object().unwrap();
    assert!(paths.contains_key("api/v1") && paths.contains_key("apis/autoscaling/v2"));
    for (path, entry) in paths {
        let document = openapi::v3_document(path).unwrap();
        let url = format!("/openapi/v3/{path}?hash={}", document.hash);
        assert_eq!(entry["serverRelativeURL"], url);
    }
    assert!(openapi::v3_document("apis/apps/v1beta1").is_none());
}

#[test]
fn discovery_has_documents_too() {
    let Some(folder) = golden::folder("openapi-v3") else {
        return;
    };
    for path in ["api", "apis", "apis/apps", "apis/rbac.authorization.k8s.io"] {
        let file = format!("{}_openapi.json", path.replace('/', "__"));
        let expected = golden::json(&folder.join(file));
        let ours = ours(path);
        assert_eq!(
            normalized(&ours["components"]),
            normalized(&expected["components"])
        );
        for (url, item) in expected["paths"].as_object().unwrap() {
            for key in ["operationId", "tags"] {
                assert_eq!(ours["paths"][url]["get"][key], item["get"][key]);
            }
        }
    }
}

#[test]
fn version_2_has_every_type_and_path() {
    let document: Value = serde_json::from_slice(&openapi::v2_json().body).unwrap();
    let definitions = document["definitions"].as_object().unwrap();
    assert!(definitions.len() > 550, "{}", definitions.len());
    let containers = &definitions["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(
        containers["items"]["$ref"],
        "#/definitions/io.k8s.api.core.v1.Container"
    );
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    let versions: BTreeSet<_> = resources().iter().map(|r| r.api_version()).collect();
    let path = |version: &String| {
        if version.contains('/') {
            format!("apis/{version}")
        } else {
            format!("api/{version}")
        }
    };
    let paths = |version| ours(&path(version))["paths"].as_object().unwrap().len();
    let expected: usize = versions.iter().map(paths).sum();
    assert_eq!(document["paths"].as_object().unwrap().len(), expected);
}
