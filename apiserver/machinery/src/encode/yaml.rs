//! YAML as sigs.k8s.io/yaml prints it: keys sorted, lists not indented under their key.

use super::yaml_text::{At, push_text};
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// The YAML document of a value.
pub fn yaml(value: &Value) -> String {
    let mut out = String::with_capacity(4096);
    match value {
        Value::Object(map) if !map.is_empty() => push_map(&mut out, map, 0, false),
        Value::Array(items) if !items.is_empty() => push_list(&mut out, items, 0, false),
        other => {
            push_flow(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

fn pad(out: &mut String, columns: usize) {
    out.extend(std::iter::repeat_n(' ', columns));
}

/// The column of the next character.
fn column(out: &str) -> usize {
    let line = out.rfind('\n').map_or(0, |at| at + 1);
    out[line..].chars().count()
}

/// A map in lines of its own. `inline` says that the first entry continues the line (after `- `).
fn push_map(out: &mut String, map: &Map<String, Value>, indent: usize, mut inline: bool) {
    let mut keys: Vec<&String> = map.keys().collect();
    keys.sort_by(|a, b| natural_order(a, b));
    for key in keys {
        if !inline {
            pad(out, indent);
        }
        inline = false;
        let at = At {
            column: column(out),
            indent,
            key: true,
        };
        push_text(out, key, at);
        out.push(':');
        match &map[key] {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                push_map(out, inner, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                push_list(out, items, indent, false);
            }
            other => {
                out.push(' ');
                push_flow(out, other, indent + 2);
                out.push('\n');
            }
        }
    }
}

fn push_list(out: &mut String, items: &[Value], indent: usize, mut inline: bool) {
    for item in items {
        if !inline {
            pad(out, indent);
        }
        inline = false;
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => push_map(out, map, indent + 2, true),
            Value::Array(inner) if !inner.is_empty() => push_list(out, inner, indent + 2, true),
            other => {
                push_flow(out, other, indent + 2);
                out.push('\n');
            }
        }
    }
}

/// A value that stays in its line, or begins there.
fn push_flow(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => out.push_str(&number(n)),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
        Value::String(text) => {
            let at = At {
                column: column(out),
                indent,
                key: false,
            };
            push_text(out, text, at);
        }
    }
}

/// A number as Go prints it: exponents only far from one.
fn number(n: &serde_json::Number) -> String {
    match n.as_f64().filter(|_| n.is_f64()) {
        Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => format!("{float}"),
        _ => n.to_string(),
    }
}

/// The order of keys in the Go library: letters after all else, runs of digits by their number.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(i) = a.iter().zip(&b).position(|(x, y)| x != y) else {
        return a.len().cmp(&b.len());
    };
    match (a[i].is_alphabetic(), b[i].is_alphabetic()) {
        (true, true) => return a[i].cmp(&b[i]),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero that differs counts only after another digit that is none.
    let differs_at_zero = a[i] == '0' || b[i] == '0';
    let digits_before = a[..i].iter().rev().take_while(|c| c.is_ascii_digit());
    let start = u64::from(differs_at_zero && digits_before.into_iter().any(|c| *c != '0'));
    let run = |chars: &[char]| {
        let digits = chars[i..].iter().map_while(|c| c.to_digit(10));
        digits.fold((start, 0usize), |(n, count), d| {
            (n.wrapping_mul(10).wrapping_add(u64::from(d)), count + 1)
        })
    };
    run(&a).cmp(&run(&b)).then(a[i].cmp(&b[i]))
}
