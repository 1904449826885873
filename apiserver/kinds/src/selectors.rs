//! Label selectors as text.

use crate::value::{at, entries};
use mainstay_machinery::selector::from_label_selector;
use serde_json::Value;

/// `{"a": "b"}` as `a=b`, sorted; "" when empty.
pub(crate) fn labels_text(labels: Option<&Value>) -> String {
    let Some(labels) = labels else {
        return String::new();
    };
    let pairs: Vec<String> = entries(labels, "")
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    pairs.join(",")
}

/// A label selector as `a=b,c in (d,e),!f`, sorted by key; "" when empty. `None` when it is malformed.
pub(crate) fn selector_text(selector: Option<&Value>) -> Option<String> {
    Some(
        from_label_selector(selector.unwrap_or(&Value::Null))
            .ok()?
            .to_string(),
    )
}

/// Whether a label selector selects these labels. An empty selector selects all, none selects nothing.
pub(crate) fn selects(selector: &Value, labels: Option<&Value>) -> bool {
    let labels = labels.and_then(Value::as_object);
    from_label_selector(selector).is_ok_and(|selector| selector.matches(labels))
}

/// The selector of a workload as text, whether it is a plain map (replication controllers) or not.
pub(crate) fn workload_selector_text(object: &Value, kind: &str) -> String {
    let selector = at(object, "spec.selector");
    if kind == "ReplicationController" {
        labels_text(selector)
    } else {
        selector_text(selector).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_read_as_on_the_command_line() {
        let selector = json!({
            "matchLabels": {"b": "1"},
            "matchExpressions": [
                {"key": "c", "operator": "NotIn", "values": ["z", "y"]}, {"key": "a", "operator": "Exists"},
                {"key": "d", "operator": "DoesNotExist"}, {"key": "e", "operator": "In", "values": ["x"]},
            ],
        });
        assert_eq!(
            selector_text(Some(&selector)).unwrap(),
            "a,b=1,c notin (y,z),!d,e in (x)"
        );
        assert_eq!(
            selector_text(Some(&json!({"matchExpressions": [{"operator": "?"}]}))),
            None
        );
    }
}
