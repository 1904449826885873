//! Bytes to JSON.

use super::error::Error;
use super::plan::{self, Holds, Node};
use super::{MAGIC, special, time};
use crate::limits::MESSAGE_DEPTH_MAX;
use crate::types::{Field, Gvk, Scalar, Shape, Type, TypeId};
use crate::wire::{Raw, Reader};
use base64::Engine as _;
use serde_json::{Map, Value};

/// Reads a body. The object has its `apiVersion` and `kind`, which the body must tell.
pub fn decode(bytes: &[u8]) -> Result<(Gvk, Value), Error> {
    decode_at(bytes, None, MESSAGE_DEPTH_MAX)
}

/// Reads a body that, where it does not tell its kind, is of this one.
pub fn decode_as(bytes: &[u8], default: Gvk) -> Result<(Gvk, Value), Error> {
    decode_at(bytes, Some(default), MESSAGE_DEPTH_MAX)
}

/// `depth` is how many levels of messages are left.
pub(super) fn decode_at(
    bytes: &[u8],
    default: Option<Gvk>,
    depth: usize,
) -> Result<(Gvk, Value), Error> {
    let unknown = Unknown::read(bytes.strip_prefix(MAGIC).ok_or(Error::NoMagic)?)?;
    let (id, gvk) = unknown.kind(default)?;
    let mut object = Map::new();
    object.insert("apiVersion".into(), gvk.api_version().into());
    object.insert("kind".into(), gvk.kind.into());
    message(unknown.raw, id, &mut object, depth)?;
    Ok((gvk, object.into()))
}

/// `runtime.Unknown`
#[derive(Default)]
struct Unknown<'a> {
    api_version: &'a str,
    kind: &'a str,
    raw: &'a [u8],
}

impl<'a> Unknown<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut unknown = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, raw)) = reader.field()? {
            match (number, raw) {
                (1, Raw::Bytes(meta)) => {
                    let mut meta = Reader::new(meta);
                    while let Some((number, raw)) = meta.field()? {
                        match (number, raw) {
                            (1, Raw::Bytes(bytes)) => {
                                unknown.api_version = text(bytes, "apiVersion")?
                            }
                            (2, Raw::Bytes(bytes)) => unknown.kind = text(bytes, "kind")?,
                            _ => {}
                        }
                    }
                }
                (2, Raw::Bytes(bytes)) => unknown.raw = bytes,
                (3, Raw::Bytes(encoding)) if !encoding.is_empty() => {
                    let encoding = String::from_utf8_lossy(encoding).into_owned();
                    return Err(Error::ContentEncoding(encoding));
                }
                _ => {}
            }
        }
        Ok(unknown)
    }

    /// The type, and the kind as the tables know it.
    fn kind(&self, default: Option<Gvk>) -> Result<(TypeId, Gvk), Error> {
        let schema = crate::schema();
        let (group, version) = self
            .api_version
            .split_once('/')
            .unwrap_or(("", self.api_version));
        let told = schema.by_gvk(group, version, self.kind).and_then(|id| {
            let wanted = (group, version, self.kind);
            let gvks = schema.get(id).gvks.iter();
            let gvk = gvks
                .copied()
                .find(|gvk| (gvk.group, gvk.version, gvk.kind) == wanted)?;
            Some((id, gvk))
        });
        if told.is_some() || !self.kind.is_empty() {
            return told.ok_or_else(|| self.unknown_kind());
        }
        let gvk = default.ok_or_else(|| self.unknown_kind())?;
        let id = schema.by_gvk(gvk.group, gvk.version, gvk.kind);
        Ok((id.ok_or_else(|| self.unknown_kind())?, gvk))
    }

    fn unknown_kind(&self) -> Error {
        Error::UnknownKind {
            api_version: self.api_version.to_owned(),
            kind: self.kind.to_owned(),
        }
    }
}

/// Adds the fields of a message to `object`. A message that comes in several pieces is merged, as
/// protobuf wants it.
pub(super) fn message(
    bytes: &[u8],
    id: TypeId,
    object: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Error> {
    let fields = crate::schema().get(id).fields();
    nodes(bytes, plan::of(id), fields, object, depth)
}

fn nodes(
    bytes: &[u8],
    plan: &[Node],
    fields: &'static [Field],
    object: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Error> {
    let depth = depth.checked_sub(1).ok_or(Error::TooDeep)?;
    let mut reader = Reader::new(bytes);
    while let Some((number, raw)) = reader.field()? {
        match plan::find(plan, number) {
            None => {}
            Some(Holds::Field(index)) => field(raw, &fields[*index], object, depth)?,
            Some(Holds::Embedded(inner)) => {
                nodes(
                    length_delimited(raw, "embedded")?,
                    inner,
                    fields,
                    object,
                    depth,
                )?;
            }
        }
    }
    Ok(())
}

fn field(
    raw: Raw<'_>,
    field: &Field,
    object: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Error> {
    match &field.ty {
        Type::List(inner) => {
            let list = object
                .entry(field.name)
                .or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(list) = list else {
                return Ok(());
            };
            if field.wrapped {
                return wrapped(length_delimited(raw, field.name)?, list);
            }
            elements(raw, inner, field.name, list, depth)
        }
        Type::Map(inner) => {
            let map = object
                .entry(field.name)
                .or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(map) = map else {
                return Ok(());
            };
            map_entry(raw, inner, field.name, map, depth)
        }
        Type::Ref(id) if is_struct(*id) => {
            let inner = object
                .entry(field.name)
                .or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(inner) = inner else {
                return Ok(());
            };
            message(length_delimited(raw, field.name)?, *id, inner, depth)
        }
        ty => {
            // Go always writes what is not a pointer; JSON leaves it out when it is zero and marked so.
            let value = single(raw, ty, field.name, depth)?;
            if value.is_null() || (field.omit_empty && !field.pointer && is_zero(&value)) {
                object.remove(field.name);
            } else {
                object.insert(field.name.to_owned(), value);
            }
            Ok(())
        }
    }
}

fn is_struct(id: TypeId) -> bool {
    matches!(crate::schema().get(id).shape, Shape::Struct(_))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// One element, or several numbers packed into one field.
fn elements(
    raw: Raw<'_>,
    ty: &Type,
    name: &str,
    list: &mut Vec<Value>,
    depth: usize,
) -> Result<(), Error> {
    let packed = match (ty, raw) {
        (Type::Scalar(scalar), Raw::Bytes(bytes)) if is_number(*scalar) => Some((*scalar, bytes)),
        _ => None,
    };
    let Some((scalar, bytes)) = packed else {
        list.push(single(raw, ty, name, depth)?);
        return Ok(());
    };
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let raw = match scalar {
            Scalar::Double => Raw::Fixed64(reader.fixed()?),
            _ => Raw::Varint(reader.varint()?),
        };
        list.push(single(raw, ty, name, depth)?);
    }
    Ok(())
}

fn is_number(scalar: Scalar) -> bool {
    matches!(
        scalar,
        Scalar::Bool | Scalar::Int32 | Scalar::Int64 | Scalar::Double
    )
}

/// A message whose field 1 is a list of strings.
fn wrapped(bytes: &[u8], list: &mut Vec<Value>) -> Result<(), Error> {
    let mut reader = Reader::new(bytes);
    while let Some((number, raw)) = reader.field()? {
        if number == 1 {
            list.push(text(length_delimited(raw, "items")?, "items")?.into());
        }
    }
    Ok(())
}

/// An entry is a message of a key (1) and a value (2); either may be missing when empty.
fn map_entry(
    raw: Raw<'_>,
    ty: &Type,
    name: &str,
    map: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Error> {
    let mut reader = Reader::new(length_delimited(raw, name)?);
    let (mut key, mut value) = ("", None);
    while let Some((number, raw)) = reader.field()? {
        match number {
            1 => key = text(length_delimited(raw, name)?, name)?,
            2 => value = Some(raw),
            _ => {}
        }
    }
    // Values of maps are texts, bytes or messages: all empty when missing.
    let value = value.unwrap_or(Raw::Bytes(&[]));
    let value = match ty {
        Type::List(_) => {
            let mut list = Vec::new();
            wrapped(length_delimited(value, name)?, &mut list)?;
            list.into()
        }
        ty => single(value, ty, name, depth)?,
    };
    map.insert(key.to_owned(), value);
    Ok(())
}

/// A value that is neither list nor map. Null stands for no time and for empty free-form JSON.
pub(super) fn single(raw: Raw<'_>, ty: &Type, name: &str, depth: usize) -> Result<Value, Error> {
    match ty {
        Type::Scalar(scalar) => scalar_value(raw, *scalar, name, depth),
        Type::Ref(id) if is_struct(*id) => {
            let mut object = Map::new();
            message(length_delimited(raw, name)?, *id, &mut object, depth)?;
            Ok(object.into())
        }
        Type::Ref(id) => special::read(length_delimited(raw, name)?, *id, depth),
        Type::List(_) | Type::Map(_) => Err(Error::value(name, "a list within a list")),
    }
}

fn scalar_value(raw: Raw<'_>, scalar: Scalar, name: &str, depth: usize) -> Result<Value, Error> {
    let value = match (scalar, raw) {
        (Scalar::Bool, Raw::Varint(value)) => (value != 0).into(),
        (Scalar::Int32, Raw::Varint(value)) => (value as i32).into(),
        (Scalar::Int64, Raw::Varint(value)) => (value as i64).into(),
        (Scalar::Double, Raw::Fixed64(bytes)) => {
            let number = serde_json::Number::from_f64(f64::from_le_bytes(bytes));
            number
                .ok_or_else(|| Error::value(name, "is not a finite number"))?
                .into()
        }
        (Scalar::String, Raw::Bytes(bytes)) => text(bytes, name)?.into(),
        (Scalar::Bytes, Raw::Bytes(bytes)) => base64::engine::general_purpose::STANDARD
            .encode(bytes)
            .into(),
        (Scalar::Quantity, Raw::Bytes(bytes)) => quantity(bytes, name)?,
        (Scalar::Time | Scalar::MicroTime, Raw::Bytes(bytes)) => {
            instant(bytes, scalar == Scalar::MicroTime, name)?
        }
        (Scalar::IntOrString, Raw::Bytes(bytes)) => int_or_string(bytes, name)?,
        (Scalar::Any | Scalar::FieldsV1, Raw::Bytes(bytes)) => {
            special::raw_json(bytes, name, depth)?
        }
        _ => return Err(Error::value(name, "has the wrong wire type")),
    };
    Ok(value)
}

fn quantity(bytes: &[u8], name: &str) -> Result<Value, Error> {
    let mut reader = Reader::new(bytes);
    let mut value = "";
    while let Some((number, raw)) = reader.field()? {
        if number == 1 {
            value = text(length_delimited(raw, name)?, name)?;
        }
    }
    Ok(if value.is_empty() { "0" } else { value }.into())
}

fn instant(bytes: &[u8], micros: bool, name: &str) -> Result<Value, Error> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let mut reader = Reader::new(bytes);
    let (mut seconds, mut nanos) = (0, 0);
    while let Some((number, raw)) = reader.field()? {
        match (number, raw) {
            (1, Raw::Varint(value)) => seconds = value as i64,
            (2, Raw::Varint(value)) => nanos = value as i32,
            _ => {}
        }
    }
    let nanos = u32::try_from(nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000);
    let nanos = nanos.ok_or_else(|| Error::value(name, "has nanoseconds out of range"))?;
    let text = time::format(seconds, micros.then_some(nanos / 1000));
    Ok(text
        .ok_or_else(|| Error::value(name, "is out of the years 0 to 9999"))?
        .into())
}

fn int_or_string(bytes: &[u8], name: &str) -> Result<Value, Error> {
    let mut reader = Reader::new(bytes);
    let (mut kind, mut number_value, mut string_value) = (0, 0, "");
    while let Some((number, raw)) = reader.field()? {
        match (number, raw) {
            (1, Raw::Varint(value)) => kind = value,
            (2, Raw::Varint(value)) => number_value = value as i32,
            (3, Raw::Bytes(bytes)) => string_value = text(bytes, name)?,
            _ => {}
        }
    }
    match kind {
        0 => Ok(number_value.into()),
        1 => Ok(string_value.into()),
        _ => Err(Error::value(name, "is neither a number nor a string")),
    }
}

pub(super) fn length_delimited<'a>(raw: Raw<'a>, name: &str) -> Result<&'a [u8], Error> {
    match raw {
        Raw::Bytes(bytes) => Ok(bytes),
        _ => Err(Error::value(name, "has the wrong wire type")),
    }
}

fn text<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::value(name, "is not UTF-8"))
}
