//! What two versions of a value differ in, in a few lines.

use serde_json::Value;
use std::fmt::Write as _;

/// Lines a message may grow by; the rest is counted.
const LINES_MAX: usize = 10;
/// Nesting followed before whole values are compared.
const DEPTH_MAX: usize = 16;

/// One line per place that differs: `spec.hostNetwork: true -> false`.
pub(super) fn differences(old: &Value, new: &Value, path: &str) -> String {
    let mut lines = Vec::new();
    collect(old, new, path.to_owned(), DEPTH_MAX, &mut lines);
    let mut text = String::new();
    for line in lines.iter().take(LINES_MAX) {
        let _ = writeln!(text, "{line}");
    }
    if lines.len() > LINES_MAX {
        let _ = writeln!(text, "and {} more", lines.len() - LINES_MAX);
    }
    text
}

fn collect(old: &Value, new: &Value, path: String, depth: usize, lines: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) if depth > 0 => {
            let added = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(added) {
                let (before, after) = (a.get(key), b.get(key));
                let null = &Value::Null;
                let path = format!("{path}.{key}");
                collect(
                    before.unwrap_or(null),
                    after.unwrap_or(null),
                    path,
                    depth - 1,
                    lines,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if depth > 0 && a.len() == b.len() => {
            for (index, (before, after)) in a.iter().zip(b).enumerate() {
                collect(before, after, format!("{path}[{index}]"), depth - 1, lines);
            }
        }
        (before, after) if before != after => lines.push(format!("{path}: {before} -> {after}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::differences;
    use serde_json::json;

    #[test]
    fn one_line_for_each_place() {
        let old = json!({"a": [{"x": 1}], "b": "c", "same": true});
        let new = json!({"a": [{"x": 2}], "d": null, "same": true});
        assert_eq!(
            differences(&old, &new, "spec"),
            "spec.a[0].x: 1 -> 2\nspec.b: \"c\" -> null\n"
        );
    }
}
