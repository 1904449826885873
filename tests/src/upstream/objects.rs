//! Manifests are created one after the other, and what was created is shown as a table.

use std::collections::HashMap;

use serde_json::Value;

use super::client::Request;
use super::contender::Contender;
use super::normal::normal_json;
use super::section::Section;

/// Where namespaced objects go.
const NAMESPACE: &str = "objects";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Creates each document; an object that was refused shows why.
pub async fn create_objects(contender: &Contender, text: &str) -> Vec<Section> {
    let mut places = Places::default();
    let mut sections = Vec::new();
    for document in text.split("\n---\n") {
        let Some(document) = Document::read(document) else {
            continue;
        };
        let collection = places.collection(contender, &document).await;
        let request = Request {
            method: "POST".to_owned(),
            path: format!("{collection}?fieldManager=comparison&fieldValidation=Strict"),
            headers: vec![("Content-Type".to_owned(), "application/yaml".to_owned())],
            body: document.text.to_owned(),
        };
        let response = contender.client.send(&request).await;
        let (created, text) = match &response {
            Ok(response) => {
                let created = response.status == 201;
                let body = normal_json(&response.body);
                let warnings = warnings(&response.headers);
                (created, format!("{}{warnings} {body}", response.status))
            }
            Err(e) => (false, e.clone()),
        };
        sections.push(Section {
            title: format!("create {}", document.title()),
            text,
        });
        if !created {
            continue;
        }
        let path = format!("{collection}/{}?includeObject=None", document.name);
        let text = match contender.client.get(&path, TABLE).await {
            Ok(table) => format!("{} {}", table.status, normal_json(&table.body)),
            Err(e) => e,
        };
        sections.push(Section {
            title: format!("table {}", document.title()),
            text,
        });
    }
    sections
}

/// Texts of the header `Warning`.
pub(super) fn warnings(headers: &http::HeaderMap) -> String {
    let texts = headers.get_all(http::header::WARNING).iter();
    texts
        .filter_map(|text| text.to_str().ok())
        .fold(String::new(), |all, text| format!("{all} [{text}]"))
}

/// A manifest and what must be known to send it.
struct Document<'a> {
    text: &'a str,
    version: &'a str,
    kind: &'a str,
    name: &'a str,
}

impl<'a> Document<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let value = |key: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| Some(line.strip_prefix(key)?.trim()))
        };
        let name = text.split("name:").nth(1)?;
        Some(Self {
            text,
            version: value("apiVersion:")?,
            kind: value("kind:")?,
            name: name
                .split([',', '}', '\n'])
                .next()?
                .trim()
                .trim_matches('"'),
        })
    }

    /// A comment on its first line, or kind and name.
    fn title(&self) -> String {
        let comment = self.text.trim_start().strip_prefix("# ");
        match comment.and_then(|text| text.lines().next()) {
            Some(comment) => format!("{} {}: {comment}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }
}

/// Paths of collections, learned from discovery.
#[derive(Default)]
struct Places {
    known: HashMap<String, Value>,
}

impl Places {
    async fn collection(&mut self, contender: &Contender, document: &Document<'_>) -> String {
        let root = match document.version.contains('/') {
            true => format!("/apis/{}", document.version),
            false => format!("/api/{}", document.version),
        };
        if !self.known.contains_key(&root) {
            let answer = contender.client.get(&root, "application/json").await;
            let list = answer
                .ok()
                .and_then(|answer| serde_json::from_slice(&answer.body).ok())
                .unwrap_or_default();
            self.known.insert(root.clone(), list);
        }
        let resources = self
            .known
            .get(&root)
            .and_then(|list| list["resources"].as_array());
        let resource = resources.into_iter().flatten().find(|resource| {
            let name = resource["name"].as_str().unwrap_or_default();
            resource["kind"] == document.kind && !name.contains('/')
        });
        let Some(resource) = resource else {
            return format!("{root}/unknown-{}", document.kind);
        };
        let plural = resource["name"].as_str().unwrap_or_default();
        match resource["namespaced"].as_bool() {
            Some(true) => format!("{root}/namespaces/{NAMESPACE}/{plural}"),
            _ => format!("{root}/{plural}"),
        }
    }
}
