//! Reads `tables/descriptions.txt`: what people are told of types and fields.
//!
//! ```text
//! file    = everywhere { "package" NAME { type } } ;
//! everywhere = "every kind" { field } ;            fields of all kinds, unless the kind's own type says something
//! type    = TYPENAME ": " TEXT NEWLINE { field } ;
//! field   = " " JSONNAME ": " TEXT NEWLINE ;
//! ```
//!
//! Empty lines and lines that begin with `#` are skipped. A line that names nothing that exists is an error, so that
//! the texts follow the types. Texts are slices of the table: they take no memory beside the table's own.

use crate::types::{Shape, TypeDef, TypeId};
use std::collections::HashMap;

pub(crate) const TEXT: &str = include_str!("../tables/descriptions.txt");

/// What is said of the list that belongs to a kind.
const LIST: &str = "Several objects of one kind.";

/// Fills in all descriptions.
pub(crate) fn describe(
    types: &mut [TypeDef],
    names: &HashMap<&'static str, TypeId>,
    text: &'static str,
) -> Result<(), String> {
    let mut everywhere = Vec::new();
    let mut package = "";
    let mut place = Place::None;
    for (line, number) in text.lines().zip(1..) {
        let at = |error: String| format!("descriptions.txt:{number}: {error}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "every kind" {
            place = Place::Everywhere;
            continue;
        }
        if let Some(name) = line.strip_prefix("package ") {
            (package, place) = (name, Place::None);
            continue;
        }
        let (name, text) = line
            .split_once(": ")
            .ok_or_else(|| at("a text follows a colon".to_owned()))?;
        match (name.strip_prefix(' '), place) {
            (None, _) => {
                let id = names.get(format!("{package}.{name}").as_str());
                let id = id.ok_or_else(|| at(format!("there is no type {name}")))?;
                let def = &mut types[usize::from(id.0)];
                set(&mut def.description, text).map_err(at)?;
                place = Place::Type(*id);
            }
            (Some(field), Place::Everywhere) => everywhere.push((field, text)),
            (Some(field), Place::Type(id)) => {
                let found = described(&mut types[usize::from(id.0)], field);
                let found = found.ok_or_else(|| at(format!("there is no field {field}")))?;
                set(found, text).map_err(at)?;
            }
            (Some(field), Place::None) => {
                return Err(at(format!("field {field} belongs to no type")));
            }
        }
    }
    for def in types.iter_mut().filter(|def| !def.gvks.is_empty()) {
        if def.description.is_empty() && def.name.ends_with("List") {
            def.description = LIST;
        }
        for (field, text) in &everywhere {
            match described(def, field) {
                Some(own) if own.is_empty() => *own = text,
                _ => {}
            }
        }
    }
    Ok(())
}

/// What a line that begins with a space is about.
#[derive(Clone, Copy)]
enum Place {
    None,
    Everywhere,
    Type(TypeId),
}

fn set(description: &mut &'static str, text: &'static str) -> Result<(), String> {
    if !description.is_empty() {
        return Err("said twice".to_owned());
    }
    *description = text;
    Ok(())
}

/// Where the description of a field goes.
fn described<'a>(def: &'a mut TypeDef, field: &str) -> Option<&'a mut &'static str> {
    let Shape::Struct(fields) = &mut def.shape else {
        return None;
    };
    let at = fields.binary_search_by(|own| own.name.cmp(field)).ok()?;
    Some(&mut fields[at].description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse, schema, tables};
    use std::time::{Duration, Instant};

    fn error(text: &'static str) -> String {
        let tables = [(
            "t",
            "package p\nA /v1/A\n kind - string\n\nB\n x 1 string\n",
        )];
        let (mut types, names) = parse::parse(&tables).expect("a table");
        describe(&mut types, &names, text).expect_err("no descriptions")
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let cases = [
            ("package p\nC: a", "descriptions.txt:2: there is no type C"),
            (
                "package p\nB: a\n y: b",
                "descriptions.txt:3: there is no field y",
            ),
            (
                "package p\n x: b",
                "descriptions.txt:2: field x belongs to no type",
            ),
            ("package p\nB: a\nB: b", "descriptions.txt:3: said twice"),
            (
                "package p\nB: a\n x: b\n x: c",
                "descriptions.txt:4: said twice",
            ),
            ("package p\nB", "descriptions.txt:2: a text follows a colon"),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text), expected);
        }
    }

    #[test]
    fn every_served_kind_says_what_it_is() {
        let schema = schema();
        for resource in crate::resources() {
            let def = schema.get(resource.ty.expect("a served kind has a type"));
            assert!(!def.description.is_empty(), "{}", def.name);
            for field in ["apiVersion", "kind", "metadata"] {
                let text = def.field(field).map_or("", |field| field.description);
                assert!(!text.is_empty(), "{}.{field}", def.name);
            }
        }
    }

    /// Whoever explains some fields of a type explains all of it, but for the many sources of volumes.
    #[test]
    fn what_people_write_by_hand_is_explained_throughout() {
        let complete = [
            "io.k8s.api.core.v1.PodSpec",
            "io.k8s.api.core.v1.Container",
            "io.k8s.api.core.v1.ServiceSpec",
            "io.k8s.api.core.v1.PersistentVolumeClaimSpec",
            "io.k8s.api.apps.v1.DeploymentSpec",
            "io.k8s.api.apps.v1.StatefulSetSpec",
            "io.k8s.api.apps.v1.DaemonSetSpec",
            "io.k8s.api.batch.v1.JobSpec",
            "io.k8s.api.batch.v1.CronJobSpec",
            "io.k8s.api.networking.v1.IngressSpec",
            "io.k8s.api.networking.v1.NetworkPolicySpec",
            "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec",
            "io.k8s.api.policy.v1.PodDisruptionBudgetSpec",
            "io.k8s.api.rbac.v1.PolicyRule",
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        ];
        let schema = schema();
        for name in complete {
            let def = schema.get(schema.by_name(name).expect("a type"));
            for field in def.fields() {
                assert!(!field.description.is_empty(), "{name}.{}", field.name);
            }
        }
    }

    #[test]
    fn the_texts_are_read_within_milliseconds() {
        let (mut types, names) = parse::parse(tables::TYPES).expect("built-in tables");
        let start = Instant::now();
        describe(&mut types, &names, TEXT).expect("built-in descriptions");
        // Ten times what it takes and more, so that a busy machine does not fail the test.
        assert!(start.elapsed() < Duration::from_millis(50));
    }
}
