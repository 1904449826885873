//! Free-form JSON, and the parts of a JSON schema that may be one thing or another.

use super::error::Error;
use super::{MAGIC, decode, encode};
use crate::types::{Type, TypeId};
use crate::wire::{Raw, Reader, VARINT, put_bytes, put_message, put_tag, put_varint};
use serde_json::{Map, Value};

const PACKAGE: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";

/// What stands behind a name whose JSON can be anything.
enum Special {
    /// Bytes of JSON as field 1.
    Json,
    /// A schema (1) or several (2).
    SchemaOrArray,
    /// Whether anything is allowed (1), and a schema (2).
    SchemaOrBool,
    /// A schema (1) or names (2).
    SchemaOrStrings,
}

fn special(id: TypeId) -> Special {
    match crate::schema().get(id).name.strip_prefix(PACKAGE) {
        Some("JSONSchemaPropsOrArray") => Special::SchemaOrArray,
        Some("JSONSchemaPropsOrBool") => Special::SchemaOrBool,
        Some("JSONSchemaPropsOrStringArray") => Special::SchemaOrStrings,
        _ => Special::Json,
    }
}

fn schema_props() -> Type {
    let id = crate::schema().by_name(&format!("{PACKAGE}JSONSchemaProps"));
    Type::Ref(id.expect("the type that refers to it is in the tables"))
}

pub(super) fn read(bytes: &[u8], id: TypeId, depth: usize) -> Result<Value, Error> {
    let depth = depth.checked_sub(1).ok_or(Error::TooDeep)?;
    let special = special(id);
    if let Special::Json = special {
        return raw_json(bytes, "JSON", depth);
    }
    let schema_props = schema_props();
    let schema = |raw| decode::single(raw, &schema_props, "schema", depth);
    let mut reader = Reader::new(bytes);
    let (mut single, mut list, mut allows) = (None, Vec::new(), false);
    while let Some((number, raw)) = reader.field()? {
        match (&special, number, raw) {
            (Special::SchemaOrBool, 1, Raw::Varint(value)) => allows = value != 0,
            (Special::SchemaOrBool, 2, raw) => single = Some(schema(raw)?),
            (_, 1, raw) => single = Some(schema(raw)?),
            (Special::SchemaOrArray, 2, raw) => list.push(schema(raw)?),
            (Special::SchemaOrStrings, 2, raw) => {
                list.push(decode::single(raw, &STRING, "property", depth)?);
            }
            _ => {}
        }
    }
    Ok(match (special, single) {
        (Special::SchemaOrStrings, single) if !list.is_empty() || single.is_none() => list.into(),
        (Special::SchemaOrArray, single) if !list.is_empty() || single.is_none() => list.into(),
        (_, Some(single)) => single,
        (_, None) => allows.into(),
    })
}

const STRING: Type = Type::Scalar(crate::types::Scalar::String);

/// JSON as field 1; an embedded object can be a protobuf body of its own instead.
pub(super) fn raw_json(bytes: &[u8], name: &str, depth: usize) -> Result<Value, Error> {
    let mut reader = Reader::new(bytes);
    let mut raw_bytes: &[u8] = &[];
    while let Some((number, raw)) = reader.field()? {
        if number == 1 {
            raw_bytes = decode::length_delimited(raw, name)?;
        }
    }
    if raw_bytes.is_empty() {
        return Ok(Value::Null);
    }
    if raw_bytes.starts_with(MAGIC) {
        let depth = depth.checked_sub(1).ok_or(Error::TooDeep)?;
        return Ok(decode::decode_at(raw_bytes, None, depth)?.1);
    }
    serde_json::from_slice(raw_bytes).map_err(|_| Error::value(name, "is not JSON"))
}

pub(super) fn put_raw_json(out: &mut Vec<u8>, number: u32, value: &Value) {
    put_message(out, number, |out| {
        if !value.is_null() {
            put_bytes(out, 1, value.to_string().as_bytes());
        }
    });
}

/// The field `number` of a message, which holds this value.
pub(super) fn write(
    out: &mut Vec<u8>,
    number: u32,
    value: &Value,
    id: TypeId,
    depth: usize,
) -> Result<(), Error> {
    let depth = depth.checked_sub(1).ok_or(Error::TooDeep)?;
    let special = special(id);
    if let Special::Json = special {
        put_raw_json(out, number, value);
        return Ok(());
    }
    put_message(out, number, |out| parts(out, &special, value, depth))
}

fn parts(out: &mut Vec<u8>, special: &Special, value: &Value, depth: usize) -> Result<(), Error> {
    let schema_props = schema_props();
    let wrong = |reason| Err(Error::value("JSONSchemaProps", reason));
    match (special, value) {
        (Special::SchemaOrBool, Value::Bool(allows)) => put_bool(out, *allows),
        (Special::SchemaOrBool, Value::Object(_)) => {
            put_bool(out, true);
            encode::put_single(out, 2, value, &schema_props, "schema", depth)?;
        }
        (Special::SchemaOrBool, _) => return wrong("is neither a schema nor true or false"),
        (_, Value::Object(_)) => encode::put_single(out, 1, value, &schema_props, "schema", depth)?,
        (_, Value::Array(list)) => {
            let strings = matches!(special, Special::SchemaOrStrings);
            let ty = if strings { &STRING } else { &schema_props };
            for item in list {
                encode::put_single(out, 2, item, ty, "items", depth)?;
            }
        }
        _ => return wrong("is neither a schema nor a list"),
    }
    Ok(())
}

fn put_bool(out: &mut Vec<u8>, value: bool) {
    put_tag(out, 1, VARINT);
    put_varint(out, u64::from(value));
}

/// An object without anything in it, for what is missing.
pub(super) fn empty() -> &'static Map<String, Value> {
    static EMPTY: std::sync::OnceLock<Map<String, Value>> = std::sync::OnceLock::new();
    EMPTY.get_or_init(Map::new)
}
