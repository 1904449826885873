//! Fields that Go prints whether they are set or not.

use crate::decode::zero;
use mainstay_schema::{Field, Scalar, Schema, Shape, Type, TypeDef, TypeId, schema};
use serde_json::{Map, Value};

/// Adds what Go prints for fields that are not set and not left out when empty: `status: {}`, `resources: {}`,
/// `lastProbeTime: null`, `restartCount: 0`. To be called before an object is stored, after it was validated, so that
/// what is served is what upstream serves.
pub fn complete(ty: TypeId, object: &mut Value) {
    let schema = schema();
    value(schema, &Type::Ref(ty), object);
}

fn value(schema: &Schema, ty: &Type, target: &mut Value) {
    match (ty, target) {
        (Type::Ref(id), Value::Object(map)) => {
            let def = schema.get(*id);
            if matches!(def.shape, Shape::Struct(_)) {
                fields(schema, def, map);
            }
        }
        (Type::List(item), Value::Array(items)) if holds_structs(item) => {
            items
                .iter_mut()
                .for_each(|target| value(schema, item, target));
        }
        (Type::Map(item), Value::Object(map)) if holds_structs(item) => {
            map.values_mut()
                .for_each(|target| value(schema, item, target));
        }
        _ => {}
    }
}

fn holds_structs(ty: &Type) -> bool {
    match ty {
        Type::Ref(_) => true,
        Type::List(item) | Type::Map(item) => holds_structs(item),
        Type::Scalar(_) => false,
    }
}

fn fields(schema: &Schema, def: &TypeDef, map: &mut Map<String, Value>) {
    for field in def.fields() {
        match map.get_mut(field.name) {
            // Upstream stores protobuf, which knows no empty lists.
            Some(Value::Array(items))
                if items.is_empty() && !field.omit_empty && matches!(field.ty, Type::List(_)) =>
            {
                map.insert(field.name.to_owned(), Value::Null);
            }
            Some(present) => value(schema, &field.ty, present),
            None if !field.omit_empty => {
                let mut empty = unset(schema, field);
                value(schema, &field.ty, &mut empty);
                map.insert(field.name.to_owned(), empty);
            }
            None => {}
        }
    }
}

/// What Go prints for a field that is not set.
fn unset(schema: &Schema, field: &Field) -> Value {
    if field.pointer {
        return Value::Null;
    }
    match &field.ty {
        Type::List(_) | Type::Map(_) | Type::Scalar(Scalar::Bytes) => Value::Null,
        other => zero(schema, other),
    }
}
