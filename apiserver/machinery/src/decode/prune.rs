//! Walking a document by the schema.

use super::error::DecodeError;
use super::scalar::{Wrong, json_type, normalize, type_error};
use super::trail::Trail;
use crate::limits::STRICT_ERRORS_MAX;
use mainstay_schema::{Field, Scalar, Schema, Shape, Type, TypeDef, TypeId, schema};
use serde_json::{Map, Value};

/// What was found besides the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Paths of unknown fields, which are gone from the object; at most [`STRICT_ERRORS_MAX`].
    pub unknown: Vec<String>,
}

/// Makes a document an object of a type: drops unknown fields and reports them, drops what Go would not print
/// again (nulls, and zero values of fields that are neither pointers nor always printed), and normalizes times,
/// quantities and base64. Linear in the document's size; nothing is copied.
pub fn prune(ty: TypeId, value: &mut Value) -> Result<Pruned, DecodeError> {
    run(ty, value, true, Words::Decoder)
}

/// [`prune`] without a report of unknown fields.
pub fn prune_quietly(ty: TypeId, value: &mut Value) -> Result<(), DecodeError> {
    run(ty, value, false, Words::Decoder).map(drop)
}

/// Whose words say that a value has the wrong type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// Those of Go's decoder of JSON.
    Decoder,
    /// Those of apimachinery's converter from maps, which makes objects of what strategic merge patches leave.
    Converter,
}

pub(super) fn run(
    ty: TypeId,
    value: &mut Value,
    report: bool,
    words: Words,
) -> Result<Pruned, DecodeError> {
    let mut pruner = Pruner {
        schema: schema(),
        report,
        words,
        unknown: Vec::new(),
        error: None,
    };
    let place = Place {
        parent: None,
        holder: "",
        field: "",
    };
    pruner.value(&Type::Ref(ty), value, &Trail::ROOT, &place)?;
    match pruner.error {
        Some(error) => Err(error),
        None => Ok(Pruned {
            unknown: pruner.unknown,
        }),
    }
}

/// The Go struct fields around a value: Go's errors name them without list indexes and map keys.
#[derive(Clone, Copy)]
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    /// The struct that has the field.
    holder: &'a str,
    field: &'a str,
}

impl Place<'_> {
    /// `PodSpec.spec.containers.image`.
    fn text(&self) -> String {
        let mut fields = Vec::new();
        let mut next = Some(self);
        while let Some(place) = next {
            if !place.field.is_empty() {
                fields.push(place.field);
            }
            next = place.parent;
        }
        if fields.is_empty() {
            return String::new();
        }
        fields.reverse();
        format!("{}.{}", self.holder, fields.join("."))
    }
}

struct Pruner<'s> {
    schema: &'s Schema,
    report: bool,
    words: Words,
    unknown: Vec<String>,
    /// The first value of a wrong type.
    error: Option<DecodeError>,
}

impl Pruner<'_> {
    /// Prunes a value that is not null. An error stops everything, as Go's own unmarshalers do.
    fn value(
        &mut self,
        ty: &Type,
        value: &mut Value,
        trail: &Trail<'_>,
        place: &Place<'_>,
    ) -> Result<(), DecodeError> {
        match ty {
            Type::Scalar(scalar) => self.scalar(*scalar, value, place),
            Type::Ref(id) => {
                let def = self.schema.get(*id);
                match (&def.shape, value) {
                    (Shape::Scalar(scalar), value) => self.scalar(*scalar, value, place),
                    (Shape::Struct(_), Value::Object(map)) => self.fields(def, map, trail, place),
                    (Shape::Struct(_), other) => self.wrong(other, ty, place),
                }
            }
            Type::List(item) => match value {
                Value::Array(items) => self.items(item, items, trail, place),
                other => self.wrong(other, ty, place),
            },
            Type::Map(item) => match value {
                Value::Object(map) => self.entries(item, map, trail, place),
                other => self.wrong(other, ty, place),
            },
        }
    }

    fn scalar(
        &mut self,
        scalar: Scalar,
        value: &mut Value,
        place: &Place<'_>,
    ) -> Result<(), DecodeError> {
        match normalize(scalar, value) {
            Ok(()) => Ok(()),
            Err(Wrong::Type { .. }) if self.words == Words::Converter => {
                self.error
                    .get_or_insert_with(|| not_convertible(scalar, value));
                Ok(())
            }
            Err(wrong) => self.save(wrong, place),
        }
    }

    fn save(&mut self, wrong: Wrong, place: &Place<'_>) -> Result<(), DecodeError> {
        if wrong.is_fatal() {
            return Err(wrong.into_error(&place.text()));
        }
        if self.error.is_none() {
            self.error = Some(wrong.into_error(&place.text()));
        }
        Ok(())
    }

    fn wrong(&mut self, value: &Value, ty: &Type, place: &Place<'_>) -> Result<(), DecodeError> {
        if self.error.is_none() {
            self.error = Some(match self.words {
                Words::Converter => not_restorable(ty, value),
                Words::Decoder => {
                    let expected = go_type(self.schema, ty);
                    type_error(json_type(value), &place.text(), &expected)
                }
            });
        }
        Ok(())
    }

    fn fields(
        &mut self,
        def: &TypeDef,
        map: &mut Map<String, Value>,
        trail: &Trail<'_>,
        place: &Place<'_>,
    ) -> Result<(), DecodeError> {
        let holder = def.short_name();
        let mut fatal = None;
        map.retain(|key, value| {
            if fatal.is_some() {
                return true;
            }
            let Some(field) = def.field(key) else {
                self.note_unknown(trail, key);
                return false;
            };
            if value.is_null() {
                return false;
            }
            let place = Place {
                parent: Some(place),
                holder,
                field: field.name,
            };
            if let Err(error) = self.value(&field.ty, value, &trail.key(key), &place) {
                fatal = Some(error);
                return true;
            }
            !is_omitted(field, value) || KEPT_EMPTY.contains(&(holder, field.name))
        });
        fatal.map_or(Ok(()), Err)
    }

    fn note_unknown(&mut self, trail: &Trail<'_>, key: &str) {
        if self.report && self.unknown.len() < STRICT_ERRORS_MAX {
            self.unknown.push(trail.field(key));
        }
    }

    fn items(
        &mut self,
        ty: &Type,
        items: &mut [Value],
        trail: &Trail<'_>,
        place: &Place<'_>,
    ) -> Result<(), DecodeError> {
        for (i, item) in items.iter_mut().enumerate() {
            if item.is_null() {
                *item = zero(self.schema, ty);
            } else {
                self.value(ty, item, &trail.index(i), place)?;
            }
        }
        Ok(())
    }

    fn entries(
        &mut self,
        ty: &Type,
        map: &mut Map<String, Value>,
        trail: &Trail<'_>,
        place: &Place<'_>,
    ) -> Result<(), DecodeError> {
        for (key, item) in map.iter_mut() {
            if item.is_null() {
                *item = zero(self.schema, ty);
            } else {
                self.value(ty, item, &trail.key(key), place)?;
            }
        }
        Ok(())
    }
}

/// What the converter says of a scalar of another type.
fn not_convertible(scalar: Scalar, value: &Value) -> DecodeError {
    let (name, from) = match scalar {
        Scalar::Bytes => {
            return DecodeError::new(format!("cannot restore slice from {}", kind_name(value)));
        }
        // Go makes a character of a number, and a number of another: such conversions are refused one by one.
        Scalar::String => ("string", value.is_i64() || value.is_u64()),
        Scalar::Int32 => ("int32", value.is_number()),
        Scalar::Int64 => ("int64", value.is_number()),
        Scalar::Double => ("float64", value.is_number()),
        _ => ("bool", false),
    };
    DecodeError::new(match from {
        true => format!("cannot convert {} to {name}", kind_name(value)),
        false => format!("unrecognized type: {name}"),
    })
}

/// What it says where a list, a map or an object should be.
fn not_restorable(ty: &Type, value: &Value) -> DecodeError {
    let found = kind_name(value);
    DecodeError::new(match ty {
        Type::List(_) => format!("cannot restore slice from {found}"),
        Type::Map(_) => format!("cannot restore map from {found}"),
        _ => format!("cannot restore struct from: {found}"),
    })
}

/// Go's kind of a decoded value.
fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
        scalar => crate::gofmt::type_name(scalar),
    }
}

/// Lists of which a rule tells the empty one from none; the rule refuses it, so none is ever stored.
const KEPT_EMPTY: [(&str, &str); 1] = [("HPAScalingRules", "policies")];

/// Whether Go leaves this value out when it prints the object again.
fn is_omitted(field: &Field, value: &Value) -> bool {
    if field.pointer || !field.omit_empty {
        return false;
    }
    match (&field.ty, value) {
        (
            Type::Scalar(Scalar::Any | Scalar::FieldsV1 | Scalar::Quantity | Scalar::IntOrString),
            _,
        ) => false,
        (Type::Ref(_), _) => false,
        (_, Value::String(text)) => text.is_empty(),
        (_, Value::Array(items)) => items.is_empty(),
        (_, Value::Object(map)) => map.is_empty(),
        (_, Value::Bool(b)) => !b,
        (_, Value::Number(n)) => n.as_f64() == Some(0.0),
        (_, Value::Null) => true,
    }
}

/// What Go decodes null to in a list or a map.
pub(crate) fn zero(schema: &Schema, ty: &Type) -> Value {
    match ty {
        Type::Scalar(scalar) => zero_scalar(*scalar),
        Type::Ref(id) => match schema.get(*id).shape {
            Shape::Scalar(scalar) => zero_scalar(scalar),
            Shape::Struct(_) => Value::Object(Map::new()),
        },
        Type::List(_) => Value::Array(Vec::new()),
        Type::Map(_) => Value::Object(Map::new()),
    }
}

fn zero_scalar(scalar: Scalar) -> Value {
    match scalar {
        Scalar::String | Scalar::Bytes => Value::String(String::new()),
        Scalar::Bool => Value::Bool(false),
        Scalar::Int32 | Scalar::Int64 | Scalar::Double | Scalar::IntOrString => 0.into(),
        Scalar::Quantity => Value::String("0".to_owned()),
        Scalar::Time | Scalar::MicroTime | Scalar::Any | Scalar::FieldsV1 => Value::Null,
    }
}

/// The Go type in errors. Named string types print as `string`, since the schema does not know their names.
fn go_type(schema: &Schema, ty: &Type) -> String {
    match ty {
        Type::List(item) => format!("[]{}", go_type(schema, item)),
        // Maps of quantities have one name nearly everywhere.
        Type::Map(item) if **item == Type::Scalar(Scalar::Quantity) => "v1.ResourceList".to_owned(),
        Type::Map(item) => format!("map[string]{}", go_type(schema, item)),
        Type::Ref(id) => {
            let name = schema.get(*id).name;
            let mut segments = name.rsplit('.');
            let short = segments.next().unwrap_or_default();
            format!("{}.{short}", segments.next().unwrap_or_default())
        }
        Type::Scalar(scalar) => match scalar {
            Scalar::String => "string",
            Scalar::Bytes => "[]uint8",
            Scalar::Bool => "bool",
            Scalar::Int32 => "int32",
            Scalar::Int64 => "int64",
            Scalar::Double => "float64",
            Scalar::IntOrString => "intstr.IntOrString",
            Scalar::Quantity => "resource.Quantity",
            Scalar::Time => "v1.Time",
            Scalar::MicroTime => "v1.MicroTime",
            Scalar::Any => "runtime.RawExtension",
            Scalar::FieldsV1 => "v1.FieldsV1",
        }
        .to_owned(),
    }
}
