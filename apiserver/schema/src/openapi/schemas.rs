//! Types as OpenAPI schemas.

use crate::types::{Field, Gvk, ListKind, Scalar, Shape, Type, TypeDef};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The two versions differ in how they refer to other schemas and in a few scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    V2,
    V3,
}

impl Style {
    /// A reference to a schema of the same document.
    pub(crate) fn reference(self, name: &str) -> Value {
        let root = match self {
            Style::V2 => "#/definitions/",
            Style::V3 => "#/components/schemas/",
        };
        json!({ "$ref": format!("{root}{name}") })
    }
}

/// The schema of a named type; of its kinds, those that `listed` picks.
pub(crate) fn definition(def: &TypeDef, style: Style, listed: impl Fn(&Gvk) -> bool) -> Value {
    let mut value = match &def.shape {
        Shape::Struct(fields) => object(fields, style),
        Shape::Scalar(scalar) => scalar_definition(def, *scalar, style),
    };
    let map = value.as_object_mut().expect("a schema is an object");
    set_description(map, def.description);
    let gvks: Vec<_> = def.gvks.iter().filter(|gvk| listed(gvk)).map(gvk).collect();
    if !gvks.is_empty() {
        map.insert("x-kubernetes-group-version-kind".into(), gvks.into());
    }
    if def.map_atomic {
        map.insert("x-kubernetes-map-type".into(), "atomic".into());
    }
    if let Some(union) = def.union {
        let members: Map<_, _> = union
            .members
            .iter()
            .map(|(field, value)| ((*field).into(), (*value).into()))
            .collect();
        let mut union_value = json!({ "fields-to-discriminateBy": members });
        if let Some(discriminator) = union.discriminator {
            union_value["discriminator"] = discriminator.into();
        }
        map.insert("x-kubernetes-unions".into(), json!([union_value]));
    }
    value
}

pub(crate) fn gvk(gvk: &Gvk) -> Value {
    json!({ "group": gvk.group, "version": gvk.version, "kind": gvk.kind })
}

fn set_description(map: &mut Map<String, Value>, description: &str) {
    if !description.is_empty() {
        map.insert("description".into(), description.into());
    }
}

fn object(fields: &[Field], style: Style) -> Value {
    let mut value = json!({ "type": "object" });
    if !fields.is_empty() {
        let properties: Map<_, _> = fields
            .iter()
            .map(|field| (field.name.into(), property(field, style)))
            .collect();
        value["properties"] = properties.into();
    }
    let required: Vec<_> = fields
        .iter()
        .filter(|f| f.required)
        .map(|f| f.name)
        .collect();
    if !required.is_empty() {
        value["required"] = json!(required);
    }
    value
}

fn property(field: &Field, style: Style) -> Value {
    let mut map = type_schema(&field.ty, field, style);
    set_description(&mut map, field.description);
    // A reference in version 2 has no room for a default, and the zero values are of no use there.
    if let Some(default) = field.default
        && (style == Style::V3 || !map.contains_key("$ref"))
    {
        map.insert("default".into(), parsed(default));
    }
    match field.list {
        ListKind::Unset => {}
        ListKind::Atomic => set(&mut map, "list-type", "atomic".into()),
        ListKind::Set => set(&mut map, "list-type", "set".into()),
        ListKind::Map(keys) => {
            set(&mut map, "list-type", "map".into());
            set(&mut map, "list-map-keys", json!(keys));
        }
    }
    if field.map_atomic {
        set(&mut map, "map-type", "atomic".into());
    } else if field.map_granular {
        set(&mut map, "map-type", "granular".into());
    }
    set_patch(&mut map, field);
    if style == Style::V3 {
        without_siblings(map)
    } else {
        map.into()
    }
}

/// Version 3 ignores what stands beside a reference, so that the reference moves into an `allOf`.
fn without_siblings(mut map: Map<String, Value>) -> Value {
    if map.len() > 1
        && let Some(reference) = map.remove("$ref")
    {
        map.insert("allOf".into(), json!([{ "$ref": reference }]));
    }
    map.into()
}

fn set(map: &mut Map<String, Value>, name: &str, value: Value) {
    map.insert(format!("x-kubernetes-{name}"), value);
}

fn set_patch(map: &mut Map<String, Value>, field: &Field) {
    let patch = field.patch;
    let strategies = [
        (patch.replace, "replace"),
        (patch.merge, "merge"),
        (patch.retain_keys, "retainKeys"),
    ];
    let named: Vec<_> = strategies
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| *name)
        .collect();
    if !named.is_empty() {
        set(map, "patch-strategy", named.join(",").into());
    }
    if let Some(key) = patch.merge_key {
        set(map, "patch-merge-key", key.into());
    }
}

/// Tables are tested to hold JSON where they say so.
fn parsed(json: &str) -> Value {
    serde_json::from_str(json).expect("defaults of the tables are JSON")
}

/// The schema of a type where it is used; `field` tells the rest: enums and the defaults of elements.
fn type_schema(ty: &Type, field: &Field, style: Style) -> Map<String, Value> {
    let value = match ty {
        Type::Ref(id) => style.reference(crate::schema().get(*id).name),
        Type::Scalar(scalar) => match named_scalar(*scalar) {
            Some(name) => style.reference(name),
            None => plain_scalar(*scalar, field.enum_values),
        },
        Type::List(inner) => json!({ "type": "array", "items": element(inner, field, style) }),
        Type::Map(inner) => {
            json!({ "type": "object", "additionalProperties": element(inner, field, style) })
        }
    };
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn element(ty: &Type, field: &Field, style: Style) -> Value {
    let mut map = type_schema(ty, field, style);
    if let Some(default) = field.item_default
        && style == Style::V3
    {
        map.insert("default".into(), parsed(default));
    }
    if style == Style::V3 {
        without_siblings(map)
    } else {
        map.into()
    }
}

/// Scalars that have a definition of their own.
fn named_scalar(scalar: Scalar) -> Option<&'static str> {
    Some(match scalar {
        Scalar::Quantity => "io.k8s.apimachinery.pkg.api.resource.Quantity",
        Scalar::Time => "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
        Scalar::MicroTime => "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
        Scalar::FieldsV1 => "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
        Scalar::Any => RAW_EXTENSION,
        Scalar::IntOrString => "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        _ => return None,
    })
}

const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";

fn plain_scalar(scalar: Scalar, enum_values: &[&str]) -> Value {
    let (ty, format) = match scalar {
        Scalar::Bool => ("boolean", None),
        Scalar::Int32 => ("integer", Some("int32")),
        Scalar::Int64 => ("integer", Some("int64")),
        Scalar::Double => ("number", Some("double")),
        Scalar::Bytes => ("string", Some("byte")),
        _ => ("string", None),
    };
    let mut value = json!({ "type": ty });
    if let Some(format) = format {
        value["format"] = format.into();
    }
    if !enum_values.is_empty() {
        value["enum"] = json!(enum_values);
    }
    value
}

fn scalar_definition(def: &TypeDef, scalar: Scalar, style: Style) -> Value {
    match (scalar, style) {
        (Scalar::Time | Scalar::MicroTime, _) => json!({ "type": "string", "format": "date-time" }),
        (Scalar::Quantity, Style::V2) => json!({ "type": "string" }),
        (Scalar::Quantity, Style::V3) => {
            json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] })
        }
        (Scalar::IntOrString, Style::V2) => json!({ "type": "string", "format": "int-or-string" }),
        (Scalar::IntOrString, Style::V3) => {
            json!({ "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] })
        }
        (Scalar::FieldsV1, _) => json!({ "type": "object" }),
        // The parts of a JSON schema may be anything; what is embedded is an object.
        (Scalar::Any, _) if def.name == RAW_EXTENSION => json!({ "type": "object" }),
        _ => json!({}),
    }
}

/// Adds the names of everything that a type refers to, directly or not.
pub(crate) fn close_over(name: &'static str, names: &mut BTreeSet<&'static str>) {
    if !names.insert(name) {
        return;
    }
    let schema = crate::schema();
    let Some(id) = schema.by_name(name) else {
        return;
    };
    for field in schema.get(id).fields() {
        let mut ty = &field.ty;
        while let Type::List(inner) | Type::Map(inner) = ty {
            ty = inner;
        }
        match ty {
            Type::Ref(id) => close_over(schema.get(*id).name, names),
            Type::Scalar(scalar) => {
                if let Some(name) = named_scalar(*scalar) {
                    close_over(name, names);
                }
            }
            Type::List(_) | Type::Map(_) => {}
        }
    }
}
