//! Path patterns of the defaults table: which places of an object a rule is for.

use serde_json::{Map, Value};

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into the field of this name, if it is there and not null.
    Field(String),
    /// Into the field of this name, made as an empty object if it is not there.
    Make(String),
    /// Into every item of a list.
    Items,
    /// Into every value of a map.
    Values,
}

/// Reads `spec!.containers[].ports[]`; `.` is no step at all.
pub(super) fn parse(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in text.split('.').filter(|part| !part.is_empty()) {
        let name = part.trim_end_matches(['[', ']', '{', '}', '!']);
        let make = part[name.len()..].starts_with('!');
        steps.push(if make {
            Step::Make(name.to_owned())
        } else {
            Step::Field(name.to_owned())
        });
        for brackets in part.as_bytes()[name.len()..].chunks(2) {
            match brackets {
                b"[]" => steps.push(Step::Items),
                b"{}" => steps.push(Step::Values),
                _ => {}
            }
        }
    }
    steps
}

/// Calls `visit` with every place of `value` the steps lead to. Places that are null are skipped.
pub(super) fn each(value: &mut Value, steps: &[Step], visit: &mut dyn FnMut(&mut Value)) {
    let Some((step, rest)) = steps.split_first() else {
        if !value.is_null() {
            visit(value);
        }
        return;
    };
    match (step, value) {
        (Step::Field(name), Value::Object(fields)) => {
            if let Some(next) = fields.get_mut(name) {
                each(next, rest, visit);
            }
        }
        (Step::Make(name), Value::Object(fields)) => {
            let next = fields.entry(name.as_str()).or_insert(Value::Null);
            if next.is_null() {
                *next = Value::Object(Map::new());
            }
            each(next, rest, visit);
        }
        (Step::Items, Value::Array(items)) => {
            for item in items {
                each(item, rest, visit);
            }
        }
        (Step::Values, Value::Object(fields)) => {
            for next in fields.values_mut() {
                each(next, rest, visit);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn visited(object: &mut Value, pattern: &str) -> usize {
        let mut count = 0;
        each(object, &parse(pattern), &mut |_| count += 1);
        count
    }

    #[test]
    fn patterns_name_places() {
        let mut object = json!({"a": [{"b": {"x": 1, "y": 2}}, {"b": null}, {}], "n": null});
        assert_eq!(visited(&mut object, "."), 1);
        assert_eq!(visited(&mut object, "a[]"), 3);
        assert_eq!(visited(&mut object, "a[].b"), 1);
        assert_eq!(visited(&mut object, "a[].b{}"), 2);
        assert_eq!(visited(&mut object, "n.z"), 0);
        assert_eq!(visited(&mut object, "a.b"), 0, "a list is not an object");
        assert_eq!(visited(&mut object, "n!.z!"), 1);
        assert_eq!(object["n"], json!({"z": {}}));
    }
}
