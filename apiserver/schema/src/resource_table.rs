//! Reads `tables/resources.txt`.
//!
//! ```text
//! file     = { "group" GROUP "/" VERSION { resource { " " sub } } } ;   the core group is empty: /v1
//! resource = PLURAL KIND ( "namespaced" | "cluster" ) { attr } ;
//! attr     = "verbs=" VERB { "," VERB }             all eight when not given
//!          | "short=" NAME { "," NAME }
//!          | "categories=" NAME { "," NAME }
//!          | "store=" PATH                          below /registry/; PLURAL when not given, "-" for none
//!          | "storage=" GROUP/VERSION/KIND          what is stored; the own kind when not given
//!          | "hashed=" GROUP/VERSION/KIND           what storageVersionHash is taken of; the stored kind
//!          | "deleted=object"                        deleting answers with the object, not with a Status
//!          | "later=" REASON ;                      cannot be created, see `later`
//! sub      = NAME ( KIND | GROUP/VERSION/KIND ) VERB { "," VERB } ;
//! ```
//!
//! Lines that begin with `#` and empty lines are skipped.

use crate::resources::{Creatable, Resource, Subresource, Verb, Verbs};
use crate::schema::Schema;
use crate::types::Gvk;

pub(crate) const TEXT: &str = include_str!("../tables/resources.txt");

pub(crate) fn parse(text: &'static str, schema: &Schema) -> Result<Vec<Resource>, String> {
    let mut resources: Vec<Resource> = Vec::new();
    let mut group = ("", "");
    for (line, number) in text.lines().zip(1..) {
        let at = |error: String| format!("resources.txt:{number}: {error}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("group ") {
            group = name
                .split_once('/')
                .ok_or_else(|| at("a group needs a version".into()))?;
        } else if let Some(line) = line.strip_prefix(' ') {
            let parent = resources
                .last_mut()
                .ok_or_else(|| at("no resource above".into()))?;
            let sub = subresource(line, parent.gvk(), schema).map_err(at)?;
            parent.subresources.push(sub);
        } else {
            resources.push(resource(line, group, schema).map_err(at)?);
        }
    }
    Ok(resources)
}

fn resource(
    line: &'static str,
    (group, version): (&'static str, &'static str),
    schema: &Schema,
) -> Result<Resource, String> {
    let mut words = line.split(' ');
    let (Some(plural), Some(kind), Some(scope)) = (words.next(), words.next(), words.next()) else {
        return Err("a resource needs a name, a kind and a scope".into());
    };
    let gvk = Gvk {
        group,
        version,
        kind,
    };
    let mut resource = Resource {
        group,
        version,
        kind,
        plural,
        singular: kind.to_ascii_lowercase(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: match scope {
            "namespaced" => true,
            "cluster" => false,
            _ => return Err(format!("unknown scope {scope}")),
        },
        verbs: Verbs::ALL,
        subresources: Vec::new(),
        ty: schema.by_gvk(group, version, kind),
        list_ty: schema.by_gvk(group, version, &format!("{kind}List")),
        store_prefix: format!("/registry/{plural}/"),
        storage_gvk: gvk,
        hashed_gvk: gvk,
        returns_deleted: false,
        creatable: Creatable::Yes,
    };
    for word in words {
        attribute(&mut resource, word)?;
    }
    Ok(resource)
}

fn attribute(resource: &mut Resource, word: &'static str) -> Result<(), String> {
    let (key, value) = word
        .split_once('=')
        .ok_or_else(|| format!("unknown attribute {word}"))?;
    match key {
        "verbs" => resource.verbs = verbs(value)?,
        "short" => resource.short_names = value.split(',').collect(),
        "categories" => resource.categories = value.split(',').collect(),
        "store" if value == "-" => resource.store_prefix = String::new(),
        "store" => resource.store_prefix = format!("/registry/{value}/"),
        "storage" => {
            resource.storage_gvk = gvk(value)?;
            resource.hashed_gvk = resource.storage_gvk;
        }
        "hashed" => resource.hashed_gvk = gvk(value)?,
        "deleted" if value == "object" => resource.returns_deleted = true,
        "later" => resource.creatable = Creatable::Later(later(value)?),
        _ => return Err(format!("unknown attribute {word}")),
    }
    Ok(())
}

fn later(reason: &str) -> Result<&'static str, String> {
    Ok(match reason {
        "custom-resources" => "custom resources are not served by this version",
        "aggregation" => "aggregated API servers are not supported by this version",
        "webhooks" => "admission webhooks are not called by this version",
        "policies" => "admission policies are not evaluated by this version",
        "fairness" => "API priority and fairness is not supported by this version",
        _ => return Err(format!("unknown reason {reason}")),
    })
}

fn subresource(line: &'static str, parent: Gvk, schema: &Schema) -> Result<Subresource, String> {
    let mut words = line.split(' ');
    let (Some(name), Some(kind), Some(verb_names)) = (words.next(), words.next(), words.next())
    else {
        return Err("a subresource needs a name, a kind and verbs".into());
    };
    let gvk = if kind.contains('/') {
        gvk(kind)?
    } else {
        Gvk { kind, ..parent }
    };
    let ty = schema.by_gvk(gvk.group, gvk.version, gvk.kind);
    Ok(Subresource {
        name,
        gvk,
        verbs: verbs(verb_names)?,
        ty,
    })
}

fn verbs(text: &str) -> Result<Verbs, String> {
    text.split(',').try_fold(Verbs::default(), |verbs, name| {
        let verb = Verb::ALL.into_iter().find(|verb| verb.name() == name);
        Ok(verbs.with(verb.ok_or_else(|| format!("unknown verb {name}"))?))
    })
}

fn gvk(text: &'static str) -> Result<Gvk, String> {
    let mut parts = text.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(group), Some(version), Some(kind)) => Ok(Gvk {
            group,
            version,
            kind,
        }),
        _ => Err(format!("{text} is not a group, version and kind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_with_their_line() {
        let cases = [
            (" status Pod get", "resources.txt:1: no resource above"),
            ("group v1", "resources.txt:1: a group needs a version"),
            (
                "group /v1\npods Pod",
                "resources.txt:2: a resource needs a name, a kind and a scope",
            ),
            (
                "pods Pod everywhere",
                "resources.txt:1: unknown scope everywhere",
            ),
            (
                "pods Pod cluster odd",
                "resources.txt:1: unknown attribute odd",
            ),
            (
                "pods Pod cluster verbs=eat",
                "resources.txt:1: unknown verb eat",
            ),
            (
                "pods Pod cluster later=never",
                "resources.txt:1: unknown reason never",
            ),
            (
                "pods Pod cluster storage=v1",
                "resources.txt:1: v1 is not a group, version and kind",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(
                parse(text, crate::schema()).expect_err("not a table"),
                expected
            );
        }
    }
}
