//! Version 2 as protobuf, in the messages of `openapi.v2` (google/gnostic): written from the JSON document.
//!
//! Only what the JSON document has is written. Vendor extensions and defaults travel as YAML texts, for
//! which JSON will do.

use crate::wire::{VARINT, put_bytes, put_message, put_tag, put_varint};
use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// `Document`
pub(crate) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 20);
    let root = object(document);
    text(&mut out, 1, root.get("swagger"));
    message(&mut out, 2, root.get("info"), |out, info| {
        text(out, 1, info.get("title"));
        text(out, 2, info.get("version"));
    });
    message(&mut out, 8, root.get("paths"), |out, paths| {
        named(out, 2, paths, path_item)
    });
    message(&mut out, 9, root.get("definitions"), |out, defs| {
        named(out, 1, defs, schema)
    });
    for requirement in array(root.get("security")) {
        // SecurityRequirement { NamedStringArray { name = 1, StringArray value = 2 } = 1 }
        message(&mut out, 12, Some(requirement), |out, schemes| {
            named(out, 1, schemes, |_, _| {});
        });
    }
    message(
        &mut out,
        13,
        root.get("securityDefinitions"),
        |out, definitions| {
            named(out, 1, definitions, security_definition);
        },
    );
    out
}

/// `SecurityDefinitionsItem` with an `ApiKeySecurity` (2).
fn security_definition(out: &mut Vec<u8>, value: &Object) {
    put_message(out, 2, |out| {
        text(out, 1, value.get("type"));
        text(out, 2, value.get("name"));
        text(out, 3, value.get("in"));
    });
}

/// `PathItem`
fn path_item(out: &mut Vec<u8>, item: &Object) {
    let methods = ["get", "put", "post", "delete", "options", "head", "patch"];
    for (method, number) in methods.iter().zip(2..) {
        message(out, number, item.get(*method), operation);
    }
    parameters(out, 9, item);
}

/// `Operation`
fn operation(out: &mut Vec<u8>, value: &Object) {
    texts(out, 1, value.get("tags"));
    text(out, 5, value.get("operationId"));
    texts(out, 6, value.get("produces"));
    texts(out, 7, value.get("consumes"));
    parameters(out, 8, value);
    message(out, 9, value.get("responses"), |out, codes| {
        // NamedResponseValue.value is a ResponseValue, which holds a Response as 1.
        named(out, 1, codes, |out, value| {
            put_message(out, 1, |out| response(out, value));
        });
    });
    texts(out, 10, value.get("schemes"));
    extensions(out, 13, value);
}

/// `Response`, whose schema is wrapped into a `SchemaItem`.
fn response(out: &mut Vec<u8>, value: &Object) {
    text(out, 1, value.get("description"));
    message(out, 2, value.get("schema"), |out, value| {
        put_message(out, 1, |out| schema(out, value))
    });
}

/// Repeated `ParametersItem`, each a `Parameter` (1) that is a body (1) or not (2).
fn parameters(out: &mut Vec<u8>, number: u32, parent: &Object) {
    for value in array(parent.get("parameters")) {
        let value = object(value);
        put_message(out, number, |out| {
            put_message(out, 1, |out| {
                match value.get("in").and_then(Value::as_str) {
                    Some("body") => put_message(out, 1, |out| body_parameter(out, value)),
                    Some("path") => {
                        put_message(out, 2, |out| {
                            put_message(out, 4, |out| path_parameter(out, value))
                        });
                    }
                    _ => put_message(out, 2, |out| {
                        put_message(out, 3, |out| query_parameter(out, value))
                    }),
                }
            });
        });
    }
}

fn body_parameter(out: &mut Vec<u8>, value: &Object) {
    text(out, 2, value.get("name"));
    text(out, 3, value.get("in"));
    flag(out, 4, value.get("required"));
    message(out, 5, value.get("schema"), schema);
}

/// `PathParameterSubSchema`
fn path_parameter(out: &mut Vec<u8>, value: &Object) {
    flag(out, 1, value.get("required"));
    text(out, 2, value.get("in"));
    text(out, 4, value.get("name"));
    text(out, 5, value.get("type"));
    flag(out, 19, value.get("uniqueItems"));
}

/// `QueryParameterSubSchema`
fn query_parameter(out: &mut Vec<u8>, value: &Object) {
    text(out, 2, value.get("in"));
    text(out, 4, value.get("name"));
    text(out, 6, value.get("type"));
    flag(out, 20, value.get("uniqueItems"));
}

/// `Schema`
fn schema(out: &mut Vec<u8>, value: &Object) {
    text(out, 1, value.get("$ref"));
    text(out, 2, value.get("format"));
    text(out, 4, value.get("description"));
    if let Some(default) = value.get("default") {
        put_message(out, 5, |out| any(out, default));
    }
    texts(out, 19, value.get("required"));
    for member in array(value.get("enum")) {
        put_message(out, 20, |out| any(out, member));
    }
    // AdditionalPropertiesItem, TypeItem and ItemsItem wrap a schema, strings and schemas.
    message(out, 21, value.get("additionalProperties"), |out, inner| {
        put_message(out, 1, |out| schema(out, inner));
    });
    if let Some(ty) = value.get("type") {
        put_message(out, 22, |out| text(out, 1, Some(ty)));
    }
    message(out, 23, value.get("items"), |out, inner| {
        put_message(out, 1, |out| schema(out, inner));
    });
    message(out, 25, value.get("properties"), |out, fields| {
        named(out, 1, fields, schema)
    });
    extensions(out, 31, value);
}

/// `Any` with a YAML text.
fn any(out: &mut Vec<u8>, value: &Value) {
    put_bytes(out, 2, value.to_string().as_bytes());
}

/// Repeated `NamedAny` for everything whose name begins with `x-`.
fn extensions(out: &mut Vec<u8>, number: u32, parent: &Object) {
    for (name, value) in parent.iter().filter(|(name, _)| name.starts_with("x-")) {
        put_message(out, number, |out| {
            put_bytes(out, 1, name.as_bytes());
            put_message(out, 2, |out| any(out, value));
        });
    }
}

/// Maps are lists of messages with a name (1) and a value (2).
fn named(out: &mut Vec<u8>, number: u32, map: &Object, write: impl Fn(&mut Vec<u8>, &Object)) {
    for (name, value) in map {
        put_message(out, number, |out| {
            put_bytes(out, 1, name.as_bytes());
            put_message(out, 2, |out| write(out, object(value)));
        });
    }
}

fn message(
    out: &mut Vec<u8>,
    number: u32,
    value: Option<&Value>,
    write: impl FnOnce(&mut Vec<u8>, &Object),
) {
    if let Some(Value::Object(map)) = value {
        put_message(out, number, |out| write(out, map));
    }
}

fn text(out: &mut Vec<u8>, number: u32, value: Option<&Value>) {
    if let Some(Value::String(text)) = value {
        put_bytes(out, number, text.as_bytes());
    }
}

fn texts(out: &mut Vec<u8>, number: u32, value: Option<&Value>) {
    for value in array(value) {
        text(out, number, Some(value));
    }
}

fn flag(out: &mut Vec<u8>, number: u32, value: Option<&Value>) {
    if value == Some(&Value::Bool(true)) {
        put_tag(out, number, VARINT);
        put_varint(out, 1);
    }
}

fn array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Anything else than an object has nothing to write.
fn object(value: &Value) -> &Object {
    static EMPTY: std::sync::OnceLock<Object> = std::sync::OnceLock::new();
    value
        .as_object()
        .unwrap_or_else(|| EMPTY.get_or_init(Object::new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Raw, Reader};
    use serde_json::json;

    /// The contents of the fields with this number.
    fn all(bytes: &[u8], number: u32) -> Vec<&[u8]> {
        let mut reader = Reader::new(bytes);
        let mut found = Vec::new();
        while let Some((at, raw)) = reader.field().expect("own output") {
            if let (true, Raw::Bytes(bytes)) = (at == number, raw) {
                found.push(bytes);
            }
        }
        found
    }

    fn path<'a>(bytes: &'a [u8], numbers: &[u32]) -> &'a [u8] {
        numbers
            .iter()
            .fold(bytes, |bytes, number| all(bytes, *number)[0])
    }

    #[test]
    fn messages_are_where_clients_look_for_them() {
        let document = json!({
            "swagger": "2.0",
            "paths": { "/a": { "patch": {
                "parameters": [{ "name": "dryRun", "in": "query", "type": "string" }],
                "x-kubernetes-action": "patch",
            } } },
            "definitions": { "A": {
                "type": "object",
                "required": ["b"],
                "properties": { "b": { "type": "array", "items": { "$ref": "#/definitions/A" } } },
            } },
        });
        let bytes = encode(&document);
        assert_eq!(path(&bytes, &[1]), b"2.0");
        // paths, path, value, patch
        let patch = path(&bytes, &[8, 2, 2, 8]);
        // parameters, parameter, non_body_parameter, query_parameter_sub_schema, name
        assert_eq!(path(patch, &[8, 1, 2, 3, 4]), b"dryRun");
        assert_eq!(path(patch, &[13, 1]), b"x-kubernetes-action");
        assert_eq!(path(patch, &[13, 2, 2]), b"\"patch\"");
        // definitions, additional_properties, value
        let schema = path(&bytes, &[9, 1, 2]);
        assert_eq!(path(schema, &[19]), b"b");
        // properties, additional_properties, value, items, schema, _ref
        assert_eq!(path(schema, &[25, 1, 2, 23, 1, 1]), b"#/definitions/A");
    }
}
