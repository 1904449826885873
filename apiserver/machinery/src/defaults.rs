//! Defaults that the schema states.
//!
//! They are few (`protocol: TCP`, a pool's name, …); most defaults differ by kind and belong to its rules.

use mainstay_schema::{Field, Schema, Shape, Type, TypeDef, TypeId, schema};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::OnceLock;

/// Sets every field that is not set and for which the schema states a default other than Go's zero value. Linear in
/// the object's size; lists and maps are walked, absent structs are not made.
pub fn apply_defaults(ty: TypeId, object: &mut Value) {
    let defaults = Defaults::get();
    defaults.value(&Type::Ref(ty), object);
}

/// Parsed defaults: type and field name to value.
struct Defaults {
    schema: &'static Schema,
    values: HashMap<(&'static str, &'static str), Value>,
}

impl Defaults {
    fn get() -> &'static Defaults {
        static DEFAULTS: OnceLock<Defaults> = OnceLock::new();
        DEFAULTS.get_or_init(|| {
            let schema = schema();
            let mut values = HashMap::new();
            for (_, def) in schema.types() {
                for field in def.fields() {
                    if let Some(value) = stated(field) {
                        values.insert((def.name, field.name), value);
                    }
                }
            }
            Defaults { schema, values }
        })
    }

    fn value(&self, ty: &Type, value: &mut Value) {
        match (ty, value) {
            (Type::Ref(id), Value::Object(map)) => {
                let def = self.schema.get(*id);
                if matches!(def.shape, Shape::Struct(_)) {
                    self.fields(def, map);
                }
            }
            (Type::List(item), Value::Array(items)) => {
                items.iter_mut().for_each(|value| self.value(item, value));
            }
            (Type::Map(item), Value::Object(map)) => {
                map.values_mut().for_each(|value| self.value(item, value));
            }
            _ => {}
        }
    }

    fn fields(&self, def: &TypeDef, map: &mut Map<String, Value>) {
        for field in def.fields() {
            match map.get_mut(field.name) {
                Some(value) if !is_unset(field, value) => self.value(&field.ty, value),
                _ => {
                    if let Some(default) = self.values.get(&(def.name, field.name)) {
                        map.insert(field.name.to_owned(), default.clone());
                    }
                }
            }
        }
    }
}

/// A default that is to be applied: any for a pointer, for others one that is not the zero value.
fn stated(field: &Field) -> Option<Value> {
    let value: Value = serde_json::from_str(field.default?).ok()?;
    let zero = match &value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    };
    (field.pointer || !zero).then_some(value)
}

/// Whether Go takes the value for not set.
fn is_unset(field: &Field, value: &Value) -> bool {
    value.is_null() || (!field.pointer && value.as_str() == Some(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_are_tcp_unless_they_say_otherwise() {
        let ty = schema().by_gvk("", "v1", "Service").unwrap();
        let mut service = json!({"spec": {"ports": [
            {"port": 1}, {"port": 2, "protocol": ""}, {"port": 3, "protocol": "UDP"}
        ]}});
        apply_defaults(ty, &mut service);
        let protocols: Vec<&Value> = service["spec"]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| &p["protocol"])
            .collect();
        assert_eq!(protocols, [&json!("TCP"), &json!("TCP"), &json!("UDP")]);
    }

    #[test]
    fn optional_structs_stay_absent() {
        let ty = schema().by_gvk("", "v1", "Pod").unwrap();
        let mut pod = json!({"spec": {"containers": [{"name": "a"}]}});
        let before = pod.clone();
        apply_defaults(ty, &mut pod);
        assert_eq!(pod, before);
    }
}
