//! Validation: whether an object makes sense, beyond having the shape of its kind.
//!
//! Rules and texts are upstream's, since clients match on them. Kinds without rules here get their
//! metadata checked; the schema says the rest. Objects are defaulted and prepared before.

mod autoscaling;
mod certificates;
mod cluster;
mod config;
mod containers;
mod cron;
mod devices;
mod differences;
mod drivers;
mod endpoints;
mod env;
mod events;
mod jobs;
mod network;
mod place;
mod pod_spec;
mod pods;
mod policy;
mod probes;
mod ranges;
mod resources;
mod rows;
mod scheduling;
mod security;
mod services;
mod storage;
#[cfg(test)]
mod tests;
mod volumes;
mod workloads;

pub use events::strict_event_errors;
pub use services::service_address_errors;

use crate::kind::KindRef;
use crate::strategy::{Part, Strategy};
use mainstay_machinery::field::{ErrorList, Path};
use mainstay_machinery::validate::{object_meta, object_meta_update};
use mainstay_schema::resources;
use serde_json::Value;

type CreateRule = fn(&Value, &mut ErrorList);
type UpdateRule = fn(&Value, &Value, Part, &mut ErrorList);

/// Whether a kind has rules of its own beyond those of metadata.
#[must_use]
pub fn has_rules<'a>(kind: impl Into<KindRef<'a>>) -> bool {
    rows::of(kind.into()).is_some()
}

/// What is wrong with an object to be created, metadata included. Nothing, if it may be.
#[must_use]
pub fn validate_create<'a>(kind: impl Into<KindRef<'a>>, object: &Value) -> ErrorList {
    let kind = kind.into();
    let rule = Strategy::of(kind).name_rule();
    let mut errors = object_meta(object, is_namespaced(kind), rule, &Path::new("metadata"));
    finalizers(kind, object, &mut errors);
    if let Some(row) = rows::of(kind) {
        (row.create)(object, &mut errors);
    }
    errors
}

/// Finalizers without a domain are those the system knows.
fn finalizers(kind: KindRef<'_>, object: &Value, errors: &mut ErrorList) {
    // Upstream checks the kinds of these groups by the rules of all metadata alone.
    if matches!(
        kind.group,
        "apiextensions.k8s.io" | "apiregistration.k8s.io"
    ) {
        return;
    }
    let finalizers = place::Place::top(object, "metadata").at("finalizers");
    for finalizer in finalizers.items() {
        let name = finalizer.text();
        let standard = ["kubernetes", "orphan", "foregroundDeletion"];
        if !name.contains('/') && !standard.contains(&name) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            finalizer.invalid(detail, errors);
        }
    }
}

/// What is wrong with an update of a part of an object, metadata included.
#[must_use]
pub fn validate_update<'a>(
    kind: impl Into<KindRef<'a>>,
    new: &Value,
    old: &Value,
    part: Part,
) -> ErrorList {
    let kind = kind.into();
    let mut errors = object_meta_update(new, old, &Path::new("metadata"));
    if part == Part::Main {
        keeps_frozen(kind, new, old, &mut errors);
    }
    let Some(row) = rows::of(kind) else {
        return errors;
    };
    if row.again && part == Part::Main {
        (row.create)(new, &mut errors);
    }
    if let Some(update) = row.update {
        update(new, old, part, &mut errors);
    }
    errors
}

/// What may not change in kinds that need no other rule, and how upstream names it.
static FROZEN: &[(&str, &str, &str, &str)] = &[
    (
        "storage.k8s.io",
        "CSIDriver",
        "spec.attachRequired",
        "spec.attachedRequired",
    ),
    ("storage.k8s.io", "VolumeAttachment", "spec", "spec"),
    ("resource.k8s.io", "ResourceClaim", "spec", "spec"),
    ("resource.k8s.io", "ResourceClaimTemplate", "spec", "spec"),
    (
        "networking.k8s.io",
        "IPAddress",
        "spec.parentRef",
        "spec.parentRef",
    ),
];

fn keeps_frozen(kind: KindRef<'_>, new: &Value, old: &Value, errors: &mut ErrorList) {
    let rows = FROZEN.iter();
    for (_, _, path, shown) in rows.filter(|row| (row.0, row.1) == (kind.group, kind.kind)) {
        let (new, old) = (crate::value::at(new, path), crate::value::at(old, path));
        if new != old {
            let value = new.cloned().unwrap_or_default();
            let shown = mainstay_machinery::field::Path::new(*shown);
            let detail = mainstay_machinery::validate::FIELD_IMMUTABLE;
            errors.push(mainstay_machinery::field::Error::invalid(
                &shown, value, detail,
            ));
        }
    }
}

fn is_namespaced(kind: KindRef<'_>) -> bool {
    resources()
        .iter()
        .find(|resource| resource.kind == kind.kind && resource.group == kind.group)
        .is_none_or(|resource| resource.namespaced)
}
