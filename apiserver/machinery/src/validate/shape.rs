//! What the schema alone says about values: required fields and enumerations.

use crate::field::{Error, ErrorList, Path};
use mainstay_schema::{Field, Scalar, Schema, Shape, Type, TypeDef, TypeId, schema};
use serde_json::{Map, Value};

/// Which rules [`shape`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct ShapeRules {
    /// Required fields must be set. For kinds whose own rules check that already, upstream's details differ.
    pub required: bool,
    /// Enumerations are closed.
    pub enums: bool,
}

impl ShapeRules {
    /// All rules.
    pub const ALL: ShapeRules = ShapeRules {
        required: true,
        enums: true,
    };
}

/// Checks an object by the schema. `status`, `metadata`, `kind` and `apiVersion` are left out: the first is not the
/// client's to fill in, the others have rules of their own. Required numbers and truth values are never missing, since
/// absent is zero in Go.
pub fn shape(ty: TypeId, object: &Value, rules: ShapeRules) -> ErrorList {
    let checker = Checker {
        schema: schema(),
        rules,
    };
    let mut errors = ErrorList::new();
    let def = checker.schema.get(ty);
    let Value::Object(map) = object else {
        return errors;
    };
    for field in def.fields() {
        if matches!(field.name, "status" | "metadata" | "kind" | "apiVersion") {
            continue;
        }
        checker.field(field, map, &Path::new(field.name), &mut errors);
    }
    errors
}

struct Checker {
    schema: &'static Schema,
    rules: ShapeRules,
}

impl Checker {
    fn field(&self, field: &Field, map: &Map<String, Value>, path: &Path, errors: &mut ErrorList) {
        let value = map.get(field.name).unwrap_or(&Value::Null);
        if is_missing(value) {
            if field.required && self.rules.required && can_be_missing(&field.ty) {
                errors.push(Error::required(path, ""));
            }
            return;
        }
        if self.rules.enums && !field.enum_values.is_empty() {
            enumeration(field, value, path, errors);
        }
        self.value(&field.ty, value, path, errors);
    }

    fn value(&self, ty: &Type, value: &Value, path: &Path, errors: &mut ErrorList) {
        match (ty, value) {
            (Type::Ref(id), Value::Object(map)) => {
                let def = self.schema.get(*id);
                if matches!(def.shape, Shape::Struct(_)) {
                    self.fields(def, map, path, errors);
                }
            }
            (Type::List(item), Value::Array(items)) => {
                for (i, value) in items.iter().enumerate() {
                    self.value(item, value, &path.index(i), errors);
                }
            }
            (Type::Map(item), Value::Object(map)) => {
                for (key, value) in map {
                    self.value(item, value, &path.key(key.as_str()), errors);
                }
            }
            _ => {}
        }
    }

    fn fields(&self, def: &TypeDef, map: &Map<String, Value>, path: &Path, errors: &mut ErrorList) {
        for field in def.fields() {
            // Metadata inside of templates has its own rules too.
            if field.name != "metadata" {
                self.field(field, map, &path.child(field.name), errors);
            }
        }
    }
}

fn is_missing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn can_be_missing(ty: &Type) -> bool {
    !matches!(
        ty,
        Type::Scalar(
            Scalar::Bool | Scalar::Int32 | Scalar::Int64 | Scalar::Double | Scalar::Quantity
        )
    )
}

fn enumeration(field: &Field, value: &Value, path: &Path, errors: &mut ErrorList) {
    let mut check = |value: &Value, path: &Path| {
        let allowed = value
            .as_str()
            .is_none_or(|text| field.enum_values.contains(&text));
        if !allowed {
            let supported: Vec<&str> = field
                .enum_values
                .iter()
                .copied()
                .filter(|v| !v.is_empty())
                .collect();
            errors.push(Error::not_supported(path, value.clone(), &supported));
        }
    };
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                check(item, &path.index(i));
            }
        }
        other => check(other, path),
    }
}
