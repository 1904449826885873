//! Rows for people, as `kubectl get` prints them.

use std::time::{SystemTime, UNIX_EPOCH};

use mainstay_apistore::Object;
use mainstay_kinds::{KindRef, columns, row, row_conditions};
use mainstay_machinery::status::StatusError;
use mainstay_schema::Resource;
use serde_json::{Value, json};

use mainstay_machinery::encode::partial_metadata;

use super::codec;
use crate::request::Query;

/// What each row carries of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    None,
    Metadata,
    Object,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) include: Include,
}

impl Options {
    pub(super) fn parse(query: &Query<'_>) -> Result<Self, StatusError> {
        let include = match query.get("includeObject").unwrap_or_default() {
            "" | "Metadata" => Include::Metadata,
            "None" => Include::None,
            "Object" => Include::Object,
            other => {
                return Err(StatusError::bad_request(format!(
                    "Unable to convert to Table as requested: includeObject: Invalid value: \"{other}\": must be 'Metadata', 'Object', 'None', or empty"
                )));
            }
        };
        Ok(Self { include })
    }
}

/// The columns of a kind.
pub(super) fn definitions<'a>(kind: impl Into<KindRef<'a>>) -> Value {
    let definition = |column: &mainstay_kinds::Column| {
        json!({
            "name": column.name,
            "type": column.data_type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        })
    };
    columns(kind).iter().map(definition).collect()
}

/// One object's row.
pub(super) fn row_of<'a>(kind: impl Into<KindRef<'a>>, object: Value, include: Include) -> Value {
    let kind = kind.into();
    let mut shown = json!({ "cells": row(kind, &object, millis()) });
    let conditions = row_conditions(kind, &object);
    if !conditions.is_empty() {
        shown["conditions"] = conditions.into();
    }
    match include {
        // Upstream's rows have the key whatever it holds.
        Include::None => shown["object"] = Value::Null,
        Include::Metadata => shown["object"] = partial_metadata(&object),
        Include::Object => shown["object"] = object,
    }
    shown
}

/// Appends the row of a cached object; nothing for one that cannot be read.
pub(super) fn write_row(resource: &Resource, object: &Object, include: Include, out: &mut Vec<u8>) {
    let Some(value) = codec::parse_served(resource, object) else {
        return;
    };
    let kind = KindRef::from(resource);
    out.extend_from_slice(b"{\"cells\":");
    codec::write_value(&row(kind, &value, millis()).into(), out);
    let conditions = row_conditions(kind, &value);
    if !conditions.is_empty() {
        out.extend_from_slice(b",\"conditions\":");
        codec::write_value(&conditions.into(), out);
    }
    out.extend_from_slice(b",\"object\":");
    if include == Include::None {
        // Upstream's rows have the key whatever it holds.
        out.extend_from_slice(b"null");
    } else {
        let copied = include == Include::Metadata
            && codec::write_metadata(&object.value, object.revision, out);
        match include {
            Include::Object => codec::write_value(&value, out),
            _ if copied => {}
            _ => codec::write_value(&partial_metadata(&value), out),
        }
    }
    out.push(b'}');
}

/// Milliseconds since 1970.
pub(crate) fn millis() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A table with these objects.
pub(super) fn of(
    kind: KindRef<'_>,
    objects: &[Value],
    revision: Value,
    options: &Options,
) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| row_of(kind, object.clone(), options.include))
        .collect();
    framed(
        definitions(kind),
        rows,
        json!({ "resourceVersion": revision }),
    )
}

/// A table around rows that exist already.
pub(super) fn framed(definitions: Value, rows: Vec<Value>, metadata: Value) -> Value {
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}
