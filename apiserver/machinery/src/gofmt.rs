//! Text as Go prints it, for messages that clients match on.

use serde_json::Value;
use std::fmt::Write as _;

/// A double-quoted string as Go's `%q` verb writes it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if is_print(c) => out.push(c),
        c => push_hex(out, c),
    }
}

fn push_hex(out: &mut String, c: char) {
    let code = u32::from(c);
    let result = match code {
        0..=0x7f => write!(out, "\\x{code:02x}"),
        0x80..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    result.expect("writing to a String does not fail");
}

/// Whether Go's `unicode.IsPrint` holds: letters, marks, numbers, punctuation, symbols and the ASCII space.
/// Rust's own table of what `Debug` would escape is the nearest to it.
pub fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    let mut buffer = [0; 4];
    let text: &str = c.encode_utf8(&mut buffer);
    // A lead letter keeps combining marks from counting as unprintable.
    let mut probe = String::with_capacity(5);
    probe.push('a');
    probe.push_str(text);
    !probe.escape_debug().any(|e| e == '\\')
}

/// A value as Go's `%v` verb prints it when decoded into an empty interface: `map[a:1 b:[x y]]`.
pub fn display(value: &Value) -> String {
    let mut out = String::new();
    push_display(&mut out, value);
    out
}

fn push_display(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => out.push_str(&n.to_string()),
        Value::String(s) => out.push_str(s),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                push_display(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => push_display_map(out, map),
    }
}

fn push_display_map(out: &mut String, map: &serde_json::Map<String, Value>) {
    let mut keys: Vec<&String> = map.keys().collect();
    keys.sort();
    out.push_str("map[");
    for (i, key) in keys.into_iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        out.push_str(key);
        out.push(':');
        push_display(out, &map[key]);
    }
    out.push(']');
}

/// Fields of the types that errors show whole, in the order of their declaration in Go; others come by name.
const DECLARED: [&[&str]; 2] = [
    &["matchLabels", "matchExpressions"],
    &[
        "apiVersion",
        "kind",
        "name",
        "uid",
        "controller",
        "blockOwnerDeletion",
    ],
];

/// A value as Go's JSON encoder prints the object it came from: selectors and references to owners by declaration.
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    push_json(&mut out, value);
    out
}

fn push_json(out: &mut String, value: &Value) {
    match value {
        Value::Object(map) => {
            let declared = DECLARED.iter().find(|fields| {
                let mut keys = map.keys();
                keys.all(|key| fields.contains(&key.as_str()))
            });
            let place = |key: &str| {
                let at = declared.and_then(|fields| fields.iter().position(|field| *field == key));
                at.unwrap_or(0)
            };
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_by_key(|key| (place(key), *key));
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                push_json(out, &map[key]);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_json(out, item);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// The name of the Go type a JSON value decodes to in an empty interface.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quotes_as_go_does() {
        for (text, want) in [
            ("pod", r#""pod""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("tab\tnew\nbell\x07", r#""tab\tnew\nbell\a""#),
            ("\x00\x7f", r#""\x00\x7f""#),
            ("grüße, 世界", r#""grüße, 世界""#),
            ("\u{a0}\u{200b}", r#""\u00a0\u200b""#),
        ] {
            assert_eq!(quote(text), want);
        }
    }

    #[test]
    fn references_to_owners_were_printed_by_name() {
        let owner =
            json!({"apiVersion": "v1", "controller": true, "kind": "Pod", "name": "a", "uid": "b"});
        assert_eq!(
            json(&json!([owner, {"b": 1, "a": [null]}])),
            r#"[{"apiVersion":"v1","kind":"Pod","name":"a","uid":"b","controller":true},{"a":[null],"b":1}]"#
        );
    }

    #[test]
    fn displays_as_go_does() {
        let value = json!({"b": [1, "x", null], "a": {"c": true}});
        assert_eq!(display(&value), "map[a:map[c:true] b:[1 x <nil>]]");
    }
}
