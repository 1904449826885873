//! The discovery documents: which groups, versions and resources are served.
//!
//! Plain discovery is one document per path; aggregated discovery tells all of `/api` or `/apis` at once and
//! is asked for by content type. Upstream's shapes are kept where they are odd (an `APIResourceList` of the
//! core group has no `apiVersion`), because clients compare.

use crate::document::Document;
use crate::resources::{Resource, Subresource, groups, resources};
use crate::types::Gvk;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The two roots that aggregated discovery is served at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// `/api`
    Core,
    /// `/apis`
    Groups,
}

/// Versions of the aggregated document; the contents are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregatedVersion {
    V2,
    V2Beta1,
}

impl AggregatedVersion {
    /// As it stands in the `v=` parameter of the media type.
    pub fn name(self) -> &'static str {
        match self {
            AggregatedVersion::V2 => "v2",
            AggregatedVersion::V2Beta1 => "v2beta1",
        }
    }
}

/// `/api`: the core versions. `server_address` is the host and port under which clients reach this server.
pub fn api_versions(server_address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            { "clientCIDR": "0.0.0.0/0", "serverAddress": server_address },
        ],
    })
}

/// `/apis`: every named group.
pub fn api_group_list() -> Value {
    let groups: Vec<_> = groups()
        .iter()
        .map(|(name, versions)| group(name, versions))
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/GROUP`
pub fn api_group(name: &str) -> Option<Value> {
    let groups = groups();
    let (name, versions) = groups.iter().find(|(group, _)| *group == name)?;
    let mut value = group(name, versions);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

fn group(name: &str, versions: &[&str]) -> Value {
    let versions: Vec<_> = versions
        .iter()
        .map(|version| json!({ "groupVersion": format!("{name}/{version}"), "version": version }))
        .collect();
    json!({ "name": name, "preferredVersion": versions[0], "versions": versions })
}

/// `/api/v1` (with an empty group) or `/apis/GROUP/VERSION`.
pub fn api_resource_list(group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for resource in resources()
        .iter()
        .filter(|r| r.group == group && r.version == version)
    {
        list.push(api_resource(resource));
        list.extend(
            resource
                .subresources
                .iter()
                .map(|sub| api_subresource(resource, sub)),
        );
    }
    let first = list.first()?;
    debug_assert!(first["name"].is_string());
    let mut value = json!({ "kind": "APIResourceList", "resources": list });
    if group.is_empty() {
        value["groupVersion"] = version.into();
    } else {
        value["apiVersion"] = "v1".into();
        value["groupVersion"] = format!("{group}/{version}").into();
    }
    Some(value)
}

fn api_resource(resource: &Resource) -> Value {
    let mut value = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": resource.verbs.names().collect::<Vec<_>>(),
    });
    set_names(&mut value, resource);
    let hash = resource.storage_version_hash();
    if !hash.is_empty() {
        value["storageVersionHash"] = hash.into();
    }
    value
}

fn set_names(value: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
}

fn api_subresource(resource: &Resource, sub: &Subresource) -> Value {
    let mut value = json!({
        "name": format!("{}/{}", resource.plural, sub.name),
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": sub.gvk.kind,
        "verbs": sub.verbs.names().collect::<Vec<_>>(),
    });
    if is_foreign(resource, sub.gvk) {
        value["group"] = sub.gvk.group.into();
        value["version"] = sub.gvk.version.into();
    }
    value
}

/// Group and version are told only where they are not those of the list.
fn is_foreign(resource: &Resource, gvk: Gvk) -> bool {
    (gvk.group, gvk.version) != (resource.group, resource.version)
}

/// `/api` or `/apis` as an `APIGroupDiscoveryList`, ready to send. The same for the life of the process.
pub fn aggregated(root: Root, version: AggregatedVersion) -> &'static Document {
    static DOCUMENTS: OnceLock<[Document; 4]> = OnceLock::new();
    let documents = DOCUMENTS.get_or_init(|| {
        [
            Document::json(&aggregated_value(Root::Core, AggregatedVersion::V2)),
            Document::json(&aggregated_value(Root::Core, AggregatedVersion::V2Beta1)),
            Document::json(&aggregated_value(Root::Groups, AggregatedVersion::V2)),
            Document::json(&aggregated_value(Root::Groups, AggregatedVersion::V2Beta1)),
        ]
    });
    let index = usize::from(root == Root::Groups) * 2;
    &documents[index + usize::from(version == AggregatedVersion::V2Beta1)]
}

fn aggregated_value(root: Root, version: AggregatedVersion) -> Value {
    let items: Vec<_> = match root {
        Root::Core => vec![group_discovery("", &["v1"])],
        Root::Groups => groups()
            .iter()
            .map(|(name, versions)| group_discovery(name, versions))
            .collect(),
    };
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{}", version.name()),
        "metadata": {},
        "items": items,
    })
}

fn group_discovery(group: &str, versions: &[&str]) -> Value {
    let versions: Vec<_> = versions
        .iter()
        .map(|version| {
            let served = resources()
                .iter()
                .filter(|r| r.group == group && r.version == *version);
            json!({
                "version": version,
                "freshness": "Current",
                "resources": served.map(resource_discovery).collect::<Vec<_>>(),
            })
        })
        .collect();
    let metadata = if group.is_empty() {
        json!({})
    } else {
        json!({ "name": group })
    };
    json!({ "metadata": metadata, "versions": versions })
}

fn resource_discovery(resource: &Resource) -> Value {
    let mut value = json!({
        "resource": resource.plural,
        "singularResource": resource.singular,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": response_kind(resource, resource.gvk()),
        "verbs": resource.verbs.names().collect::<Vec<_>>(),
    });
    set_names(&mut value, resource);
    let subresources: Vec<_> = resource
        .subresources
        .iter()
        .map(|sub| {
            json!({
                "subresource": sub.name,
                "responseKind": response_kind(resource, sub.gvk),
                "verbs": sub.verbs.names().collect::<Vec<_>>(),
            })
        })
        .collect();
    if !subresources.is_empty() {
        value["subresources"] = subresources.into();
    }
    value
}

/// An own kind goes without group and version: clients fill in those of the list.
fn response_kind(resource: &Resource, gvk: Gvk) -> Value {
    if is_foreign(resource, gvk) {
        json!({ "group": gvk.group, "version": gvk.version, "kind": gvk.kind })
    } else {
        json!({ "group": "", "version": "", "kind": gvk.kind })
    }
}
