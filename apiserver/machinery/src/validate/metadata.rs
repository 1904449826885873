//! `metadata` on create and update.

use super::content::qualified_name;
use super::generation::{generation_on_create, generation_on_update};
use super::labels::{annotations, labels};
use super::managed::managed_fields;
use super::names::{NameRule, name_is_dns_label};
use crate::field::{Error, ErrorList, Path};
use crate::meta;
use serde_json::Value;

/// Why a field that changed may not.
pub const FIELD_IMMUTABLE: &str = "field is immutable";

const FINALIZER_ORPHAN: &str = "orphan";
const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

/// Metadata of a new object, after its name was generated. `path` is usually `metadata`.
pub fn object_meta(object: &Value, namespaced: bool, rule: NameRule, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let generate_name = meta::generate_name(object);
    if !generate_name.is_empty() {
        let path = path.child("generateName");
        let messages = rule(generate_name, true);
        errors.extend(
            messages
                .into_iter()
                .map(|m| Error::invalid(&path, generate_name, m)),
        );
    }
    let name = meta::name(object);
    if name.is_empty() {
        let detail = "name or generateName is required";
        errors.push(Error::required(&path.child("name"), detail));
    } else {
        let messages = rule(name, false);
        errors.extend(
            messages
                .into_iter()
                .map(|m| Error::invalid(&path.child("name"), name, m)),
        );
    }
    namespace(object, namespaced, &path.child("namespace"), &mut errors);
    generation_on_create(object, &path.child("generation"), &mut errors);
    labels_and_annotations(object, path, &mut errors);
    owner_references(object, &path.child("ownerReferences"), &mut errors);
    finalizers(object, &path.child("finalizers"), &mut errors);
    managed_fields(object, &path.child("managedFields"), &mut errors);
    errors
}

/// Metadata of a changed object against what is stored.
pub fn object_meta_update(new: &Value, old: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if meta::deletion_timestamp(old).is_some() {
        no_new_finalizers(new, old, &path.child("finalizers"), &mut errors);
    }
    if meta::resource_version(new).is_empty() {
        let path = path.child("resourceVersion");
        errors.push(Error::invalid(&path, "", "must be specified for an update"));
    }
    generation_on_update(new, old, &path.child("generation"), &mut errors);
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        let (new, old) = (&new["metadata"][field], &old["metadata"][field]);
        immutable(new, old, &path.child(field), &mut errors);
    }
    labels_and_annotations(new, path, &mut errors);
    owner_references(new, &path.child("ownerReferences"), &mut errors);
    managed_fields(new, &path.child("managedFields"), &mut errors);
    errors
}

/// A field that must stay as it was. Absent and empty count as the same, as Go's semantic equality has it.
pub fn immutable(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    if new == old || (is_empty(new) && is_empty(old)) {
        return;
    }
    errors.push(Error::invalid(path, new.clone(), FIELD_IMMUTABLE));
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn namespace(object: &Value, namespaced: bool, path: &Path, errors: &mut ErrorList) {
    let namespace = meta::namespace(object);
    if !namespaced {
        if !namespace.is_empty() {
            errors.push(Error::forbidden(path, "not allowed on this type"));
        }
        return;
    }
    if namespace.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let messages = name_is_dns_label(namespace, false);
    errors.extend(
        messages
            .into_iter()
            .map(|m| Error::invalid(path, namespace, m)),
    );
}

fn labels_and_annotations(object: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(map) = meta::labels(object) {
        labels(&path.child("labels"), map, errors);
    }
    if let Some(map) = meta::annotations(object) {
        annotations(&path.child("annotations"), map, errors);
    }
}

fn owner_references(object: &Value, path: &Path, errors: &mut ErrorList) {
    let mut controller: Option<String> = None;
    for owner in meta::owner_references(object) {
        // Upstream's paths do not say which.
        owner_reference(owner, path, errors);
        if owner["controller"] != Value::Bool(true) {
            continue;
        }
        let this = format!(
            "{}/{}",
            owner["kind"].as_str().unwrap_or_default(),
            owner["name"].as_str().unwrap_or_default()
        );
        match &controller {
            None => controller = Some(this),
            Some(first) => errors.push(Error::invalid(
                path,
                object["metadata"]["ownerReferences"].clone(),
                format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                ),
            )),
        }
    }
}

fn owner_reference(owner: &Value, path: &Path, errors: &mut ErrorList) {
    let api_version = owner["apiVersion"].as_str().unwrap_or_default();
    if api_version.is_empty() {
        errors.push(Error::invalid(
            &path.child("apiVersion"),
            "",
            "version must not be empty",
        ));
    } else if api_version.matches('/').count() > 1 || api_version.ends_with('/') {
        errors.push(Error::invalid(
            &path.child("apiVersion"),
            api_version,
            "must be <group>/<version> or <version>",
        ));
    }
    for field in ["kind", "name", "uid"] {
        if owner[field].as_str().unwrap_or_default().is_empty() {
            errors.push(Error::invalid(&path.child(field), "", "must not be empty"));
        }
    }
    if api_version == "v1" && owner["kind"] == "Event" {
        let detail = "/v1, Kind=Event is disallowed from being an owner";
        errors.push(Error::invalid(path, owner.clone(), detail));
    }
}

fn finalizers(object: &Value, path: &Path, errors: &mut ErrorList) {
    let names: Vec<&str> = meta::finalizers(object).collect();
    for name in &names {
        let messages = qualified_name(name);
        errors.extend(messages.into_iter().map(|m| Error::invalid(path, *name, m)));
    }
    if names.contains(&FINALIZER_ORPHAN) && names.contains(&FINALIZER_FOREGROUND) {
        let detail =
            format!("finalizer {FINALIZER_ORPHAN} and {FINALIZER_FOREGROUND} cannot be both set");
        errors.push(Error::invalid(path, names, detail));
    }
}

fn no_new_finalizers(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let mut added: Vec<&str> = meta::finalizers(new)
        .filter(|name| !meta::finalizers(old).any(|o| o == *name))
        .collect();
    if added.is_empty() {
        return;
    }
    added.sort_unstable();
    added.dedup();
    let list: Vec<String> = added.into_iter().map(crate::gofmt::quote).collect();
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        list.join(", ")
    );
    errors.push(Error::forbidden(path, detail));
}
