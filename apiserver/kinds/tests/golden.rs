//! Every served kind, with the object of the golden files that sets every field it has.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on should panic, and one that is skipped should say so"
)]

use mainstay_kinds::{
    Context, KindRef, Part, User, columns, default_object, prepare_for_create, prepare_for_update,
    row, validate_create, validate_update, warnings,
};
use mainstay_schema::{Resource, resources};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where the golden files are: beside the project, or where `MAINSTAY_GOLDEN` says.
fn golden() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("MAINSTAY_GOLDEN") {
        return Some(PathBuf::from(given));
    }
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.find_map(|dir| Some(dir.join("shared/golden")).filter(|golden| golden.is_dir()))
}

fn objects() -> Vec<(&'static Resource, Value)> {
    let Some(golden) = golden() else {
        eprintln!("skipped: no golden files beside the project and MAINSTAY_GOLDEN is not set");
        return Vec::new();
    };
    let folder = golden.join("kubernetes-1.36/objects");
    let mut found = Vec::new();
    for resource in resources() {
        let group = if resource.group.is_empty() {
            "core"
        } else {
            resource.group
        };
        let file = folder.join(format!(
            "{group}.{}.{}.json",
            resource.version, resource.kind
        ));
        if let Ok(text) = std::fs::read_to_string(&file) {
            found.push((resource, serde_json::from_str(&text).unwrap()));
        }
    }
    assert!(
        found.len() > 60,
        "only {} golden objects in {}",
        found.len(),
        folder.display()
    );
    found
}

fn context<'a>() -> Context<'a> {
    Context {
        now: "2026-01-02T03:04:05Z",
        user: User::default(),
    }
}

#[test]
fn defaulting_twice_is_defaulting_once() {
    for (resource, object) in objects() {
        let mut once = object;
        default_object(resource, &mut once);
        let mut twice = once.clone();
        default_object(resource, &mut twice);
        assert_eq!(once, twice, "{}", resource.kind);
        let mut empty = serde_json::json!({"metadata": {"name": "a"}});
        default_object(KindRef::from(resource), &mut empty);
    }
}

#[test]
fn an_update_without_a_change_changes_nothing() {
    for (resource, mut object) in objects() {
        default_object(resource, &mut object);
        prepare_for_create(resource, &mut object, &context());
        for part in [Part::Main, Part::Status] {
            let mut new = object.clone();
            prepare_for_update(resource, &mut new, &object, part, &context());
            assert_eq!(new, object, "{} {part:?}", resource.kind);
        }
    }
}

#[test]
fn every_kind_prints_a_row() {
    for (resource, mut object) in objects() {
        default_object(resource, &mut object);
        let columns = columns(resource);
        let row = row(resource, &object, 1_300_000_000_000);
        assert_eq!(row.len(), columns.len(), "{}", resource.kind);
        for (column, cell) in columns.iter().zip(row) {
            let fits = match column.data_type {
                "integer" => cell.is_i64() || cell.is_u64(),
                // Upstream calls some numbers strings and one boolean, printed as text, a boolean.
                "string" | "boolean" | "date" => {
                    cell.is_string() || cell.is_boolean() || cell.is_number()
                }
                _ => false,
            };
            assert!(fits, "{} {}: {cell}", resource.kind, column.name);
        }
    }
}

#[test]
fn validation_survives_every_field_set() {
    for (resource, mut object) in objects() {
        default_object(resource, &mut object);
        let _ = validate_create(resource, &object);
        for part in [Part::Main, Part::Status, Part::Approval, Part::Resize] {
            let _ = validate_update(resource, &object, &object, part);
            let _ = validate_update(resource, &object, &Value::Null, part);
        }
        let _ = warnings(resource, &object, None);
    }
}
