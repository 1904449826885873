//! JSON to bytes.

use super::error::Error;
use super::plan::{self, Holds, Node};
use super::{MAGIC, special, time};
use crate::limits::MESSAGE_DEPTH_MAX;
use crate::types::{Field, Gvk, Scalar, Shape, Type, TypeId};
use crate::wire::{FIXED64, VARINT, put_bytes, put_message, put_tag, put_varint};
use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Map, Value};

/// Writes an object of this kind as a body. What the type does not have is left out; what a field cannot
/// hold is an error.
pub fn encode(gvk: Gvk, object: &Value) -> Result<Bytes, Error> {
    let unknown = || Error::UnknownKind {
        api_version: gvk.api_version(),
        kind: gvk.kind.into(),
    };
    let id = crate::schema()
        .by_gvk(gvk.group, gvk.version, gvk.kind)
        .ok_or_else(unknown)?;
    let object = object
        .as_object()
        .ok_or_else(|| Error::value(gvk.kind, "is not an object"))?;
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(MAGIC);
    put_message(&mut out, 1, |out| {
        put_bytes(out, 1, gvk.api_version().as_bytes());
        put_bytes(out, 2, gvk.kind.as_bytes());
    });
    put_message(&mut out, 2, |out| {
        message(out, id, object, MESSAGE_DEPTH_MAX)
    })?;
    // contentEncoding and contentType, which Go writes though they are empty.
    put_bytes(&mut out, 3, b"");
    put_bytes(&mut out, 4, b"");
    Ok(out.into())
}

fn message(
    out: &mut Vec<u8>,
    id: TypeId,
    object: &Map<String, Value>,
    depth: usize,
) -> Result<(), Error> {
    nodes(
        out,
        plan::of(id),
        crate::schema().get(id).fields(),
        object,
        depth,
    )
}

fn nodes(
    out: &mut Vec<u8>,
    plan: &[Node],
    fields: &'static [Field],
    object: &Map<String, Value>,
    depth: usize,
) -> Result<(), Error> {
    let depth = depth.checked_sub(1).ok_or(Error::TooDeep)?;
    for node in plan {
        match &node.holds {
            Holds::Field(index) => {
                let field = &fields[*index];
                let value = object.get(field.name).filter(|value| !value.is_null());
                put_field(out, field, value, depth)?;
            }
            Holds::Embedded(inner) => {
                put_message(out, node.number, |out| {
                    nodes(out, inner, fields, object, depth)
                })?;
            }
        }
    }
    Ok(())
}

fn put_field(
    out: &mut Vec<u8>,
    field: &Field,
    value: Option<&Value>,
    depth: usize,
) -> Result<(), Error> {
    let (name, number) = (field.name, field.number);
    match (&field.ty, value) {
        (Type::List(_) | Type::Map(_), None) => Ok(()),
        (Type::List(_), Some(Value::Array(list))) if field.wrapped => {
            put_message(out, number, |out| put_wrapped(out, list, name))
        }
        (Type::List(inner), Some(Value::Array(list))) => list
            .iter()
            .try_for_each(|item| put_single(out, number, item, inner, name, depth)),
        (Type::Map(inner), Some(Value::Object(map))) => {
            // Sorted by key, as Go does; the map may not be when serde_json keeps the order of insertion.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in entries {
                put_message(out, number, |out| {
                    put_bytes(out, 1, key.as_bytes());
                    put_entry_value(out, value, inner, name, depth)
                })?;
            }
            Ok(())
        }
        (Type::List(_), _) => Err(Error::value(name, "is not a list")),
        (Type::Map(_), _) => Err(Error::value(name, "is not an object")),
        (ty, Some(value)) => put_single(out, number, value, ty, name, depth),
        (_, None) if field.pointer => Ok(()),
        (ty, None) => put_zero(out, number, ty, depth),
    }
}

fn put_entry_value(
    out: &mut Vec<u8>,
    value: &Value,
    ty: &Type,
    name: &str,
    depth: usize,
) -> Result<(), Error> {
    match (ty, value) {
        (Type::List(_), Value::Array(list)) => {
            put_message(out, 2, |out| put_wrapped(out, list, name))
        }
        (Type::List(_), _) => Err(Error::value(name, "is not a list")),
        _ => put_single(out, 2, value, ty, name, depth),
    }
}

/// A message whose field 1 is a list of strings.
fn put_wrapped(out: &mut Vec<u8>, list: &[Value], name: &str) -> Result<(), Error> {
    for item in list {
        put_bytes(out, 1, text(item, name)?.as_bytes());
    }
    Ok(())
}

/// What Go writes for something that is not a pointer and was not set.
fn put_zero(out: &mut Vec<u8>, number: u32, ty: &Type, depth: usize) -> Result<(), Error> {
    match ty {
        Type::Scalar(Scalar::String) => put_bytes(out, number, b""),
        Type::Scalar(Scalar::Bool | Scalar::Int32 | Scalar::Int64) => {
            put_tag(out, number, VARINT);
            put_varint(out, 0);
        }
        Type::Scalar(Scalar::Double) => {
            put_tag(out, number, FIXED64);
            out.extend_from_slice(&[0; 8]);
        }
        Type::Scalar(Scalar::Quantity) => put_message(out, number, |out| put_bytes(out, 1, b"0")),
        Type::Scalar(Scalar::IntOrString) => put_int_or_string(out, number, 0, 0, ""),
        Type::Scalar(Scalar::Time | Scalar::MicroTime | Scalar::Any | Scalar::FieldsV1) => {
            put_bytes(out, number, b"");
        }
        Type::Ref(id) if is_struct(*id) => {
            return put_message(out, number, |out| {
                message(out, *id, special::empty(), depth)
            });
        }
        Type::Ref(_) => put_bytes(out, number, b""),
        // Absent bytes, lists and maps are nil.
        Type::Scalar(Scalar::Bytes) | Type::List(_) | Type::Map(_) => {}
    }
    Ok(())
}

fn is_struct(id: TypeId) -> bool {
    matches!(crate::schema().get(id).shape, Shape::Struct(_))
}

/// A value that is neither list nor map.
pub(super) fn put_single(
    out: &mut Vec<u8>,
    number: u32,
    value: &Value,
    ty: &Type,
    name: &str,
    depth: usize,
) -> Result<(), Error> {
    if value.is_null() {
        // Among the elements of a list or map null is a zero value.
        return put_zero(out, number, ty, depth);
    }
    match ty {
        Type::Scalar(scalar) => put_scalar(out, number, value, *scalar, name),
        Type::Ref(id) if is_struct(*id) => {
            // Null among the elements of a list is a zero value.
            let object = if value.is_null() {
                Some(special::empty())
            } else {
                value.as_object()
            };
            let object = object.ok_or_else(|| Error::value(name, "is not an object"))?;
            put_message(out, number, |out| message(out, *id, object, depth))
        }
        Type::Ref(id) => special::write(out, number, value, *id, depth),
        Type::List(_) | Type::Map(_) => Err(Error::value(name, "a list within a list")),
    }
}

fn put_scalar(
    out: &mut Vec<u8>,
    number: u32,
    value: &Value,
    scalar: Scalar,
    name: &str,
) -> Result<(), Error> {
    match scalar {
        Scalar::String => put_bytes(out, number, text(value, name)?.as_bytes()),
        Scalar::Bytes => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text(value, name)?);
            let bytes = bytes.map_err(|_| Error::value(name, "is not base64"))?;
            put_bytes(out, number, &bytes);
        }
        Scalar::Bool => {
            let value = value
                .as_bool()
                .ok_or_else(|| Error::value(name, "is not true or false"))?;
            put_tag(out, number, VARINT);
            put_varint(out, u64::from(value));
        }
        Scalar::Int32 | Scalar::Int64 => {
            let value = integer(value, scalar == Scalar::Int32, name)?;
            put_tag(out, number, VARINT);
            put_varint(out, value as u64);
        }
        Scalar::Double => {
            let value = value
                .as_f64()
                .ok_or_else(|| Error::value(name, "is not a number"))?;
            put_tag(out, number, FIXED64);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Scalar::Quantity => {
            let written = if value.is_number() {
                value.to_string()
            } else {
                String::new()
            };
            let text = if value.is_number() {
                &written
            } else {
                text(value, name)?
            };
            put_message(out, number, |out| put_bytes(out, 1, text.as_bytes()));
        }
        Scalar::Time => put_instant(out, number, text(value, name)?, false, name)?,
        Scalar::MicroTime => put_instant(out, number, text(value, name)?, true, name)?,
        Scalar::IntOrString => match value {
            Value::String(text) => put_int_or_string(out, number, 1, 0, text),
            _ => put_int_or_string(out, number, 0, integer(value, true, name)?, ""),
        },
        Scalar::Any | Scalar::FieldsV1 => special::put_raw_json(out, number, value),
    }
    Ok(())
}

/// Negative numbers take ten bytes, whatever their width.
fn integer(value: &Value, narrow: bool, name: &str) -> Result<i64, Error> {
    let value = value
        .as_i64()
        .ok_or_else(|| Error::value(name, "is not an integer"))?;
    if narrow && i32::try_from(value).is_err() {
        return Err(Error::value(name, "does not fit into 32 bits"));
    }
    Ok(value)
}

/// Seconds and nanoseconds; of a plain time the fraction is dropped, as JSON does.
fn put_instant(
    out: &mut Vec<u8>,
    number: u32,
    text: &str,
    micros: bool,
    name: &str,
) -> Result<(), Error> {
    let instant = time::parse(text).ok_or_else(|| Error::value(name, "is not a time"))?;
    let (seconds, nanos) = instant;
    put_message(out, number, |out| {
        if instant == (time::ZERO_SECONDS, 0) {
            return;
        }
        put_tag(out, 1, VARINT);
        put_varint(out, seconds as u64);
        put_tag(out, 2, VARINT);
        put_varint(
            out,
            if micros {
                u64::from(nanos / 1000 * 1000)
            } else {
                0
            },
        );
    });
    Ok(())
}

fn put_int_or_string(out: &mut Vec<u8>, number: u32, kind: u64, int: i64, text: &str) {
    put_message(out, number, |out| {
        put_tag(out, 1, VARINT);
        put_varint(out, kind);
        put_tag(out, 2, VARINT);
        put_varint(out, int as u64);
        put_bytes(out, 3, text.as_bytes());
    });
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, Error> {
    value
        .as_str()
        .ok_or_else(|| Error::value(name, "is not a string"))
}
