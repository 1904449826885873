//! What is wrong with an access review before it is answered.

use serde_json::Value;

use crate::rbac::strings;

/// Which of the three access reviews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewKind {
    /// `SubjectAccessReview`.
    Subject,
    /// `SelfSubjectAccessReview`.
    SelfSubject,
    /// `LocalSubjectAccessReview`.
    Local,
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewError {
    /// The field's path.
    pub field: String,
    /// What is wrong, for `Invalid value`.
    pub value: Value,
    /// True if the field is missing (`Required value`), false if it is wrong (`Invalid value`).
    pub required: bool,
    /// The text that follows.
    pub detail: String,
}

/// Everything that is wrong with a review as it was sent, for a 422. For a `LocalSubjectAccessReview` the
/// namespace of the request's path must be in its metadata.
pub fn review_errors(request: &Value, kind: ReviewKind) -> Vec<ReviewError> {
    let spec = request.get("spec").unwrap_or(&Value::Null);
    let part = |key: &str| spec.get(key).filter(|attributes| attributes.is_object());
    let (resource, path) = (part("resourceAttributes"), part("nonResourceAttributes"));
    let mut errors = Errors::default();
    if resource.is_some() && path.is_some() {
        errors.invalid(
            "spec.nonResourceAttributes",
            path.cloned().unwrap_or_default(),
            "cannot be specified in combination with resourceAttributes",
        );
    }
    if resource.is_none() && path.is_none() {
        let text = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.invalid("spec.resourceAttributes", Value::Null, text);
    }
    let names_user = !text(spec, "user").is_empty() || !strings(spec.get("groups")).is_empty();
    if kind != ReviewKind::SelfSubject && !names_user {
        errors.invalid(
            "spec.user",
            "".into(),
            "at least one of user or group must be specified",
        );
    }
    for key in ["fieldSelector", "labelSelector"] {
        if let Some(selector) = resource
            .and_then(|resource| resource.get(key))
            .filter(|s| s.is_object())
        {
            check_selector(
                selector,
                &format!("spec.resourceAttributes.{key}"),
                &mut errors,
            );
        }
    }
    check_metadata(request, kind, &mut errors);
    if kind == ReviewKind::Local {
        let namespace = request
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if resource.is_some_and(|resource| text(resource, "namespace") != namespace) {
            errors.invalid(
                "spec.resourceAttributes.namespace",
                resource
                    .map_or("", |resource| text(resource, "namespace"))
                    .into(),
                "must match metadata.namespace",
            );
        }
        if path.is_some() {
            errors.invalid(
                "spec.nonResourceAttributes",
                path.cloned().unwrap_or_default(),
                "disallowed on this kind of request",
            );
        }
    }
    errors.0
}

#[derive(Default)]
struct Errors(Vec<ReviewError>);

impl Errors {
    fn invalid(&mut self, field: &str, value: Value, detail: &str) {
        self.0.push(ReviewError {
            field: field.to_owned(),
            value,
            required: false,
            detail: detail.to_owned(),
        });
    }
}

fn check_selector(selector: &Value, path: &str, errors: &mut Errors) {
    let raw = !text(selector, "rawSelector").is_empty();
    let listed = selector
        .get("requirements")
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty());
    match (raw, listed) {
        (true, true) => errors.invalid(
            &format!("{path}.rawSelector"),
            text(selector, "rawSelector").into(),
            "may not specified at the same time as requirements",
        ),
        (false, false) => errors.0.push(ReviewError {
            field: format!("{path}.requirements"),
            value: Value::Null,
            required: true,
            detail: format!("when {path} is specified, requirements or rawSelector is required"),
        }),
        _ => {}
    }
}

/// A review is no object: it has no name and no labels.
fn check_metadata(request: &Value, kind: ReviewKind, errors: &mut Errors) {
    let metadata = request.get("metadata").and_then(Value::as_object);
    let set = metadata.into_iter().flatten().any(|(key, value)| {
        let empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        let allowed = key == "managedFields" || (key == "namespace" && kind == ReviewKind::Local);
        !empty && !allowed
    });
    if set {
        let only = if kind == ReviewKind::Local {
            "must be empty except for namespace"
        } else {
            "must be empty"
        };
        let shown = request.get("metadata").cloned().unwrap_or_default();
        errors.invalid("metadata", shown, only);
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_field_that_is_wrong_is_named() {
        use ReviewKind::{Local, SelfSubject, Subject};
        let pods = json!({"verb": "get", "resource": "pods"});
        let with = |key: &str, value: Value| {
            let mut spec = json!({"resourceAttributes": pods});
            spec["resourceAttributes"][key] = value;
            json!({"spec": spec})
        };
        for (request, kind, expected) in [
            (
                json!({"metadata": {"creationTimestamp": null}, "spec": {"resourceAttributes": pods}}),
                SelfSubject,
                "",
            ),
            (
                json!({"spec": {"resourceAttributes": pods}}),
                Subject,
                "spec.user",
            ),
            (
                json!({"spec": {"user": "u"}}),
                Subject,
                "spec.resourceAttributes",
            ),
            (
                json!({"spec": {"resourceAttributes": pods, "nonResourceAttributes": {}}}),
                SelfSubject,
                "spec.nonResourceAttributes",
            ),
            (
                with("fieldSelector", json!({})),
                SelfSubject,
                "spec.resourceAttributes.fieldSelector.requirements",
            ),
            (
                with(
                    "labelSelector",
                    json!({"rawSelector": "a", "requirements": [{}]}),
                ),
                SelfSubject,
                "spec.resourceAttributes.labelSelector.rawSelector",
            ),
            (
                json!({"metadata": {"name": "x"}, "spec": {"resourceAttributes": pods}}),
                SelfSubject,
                "metadata",
            ),
            (
                json!({"metadata": {"namespace": "ns"}, "spec": {"user": "u", "resourceAttributes": pods}}),
                Local,
                "spec.resourceAttributes.namespace",
            ),
            (
                json!({"metadata": {"namespace": "ns"}, "spec": {"user": "u", "nonResourceAttributes": {}}}),
                Local,
                "spec.nonResourceAttributes",
            ),
        ] {
            let fields: Vec<String> = review_errors(&request, kind)
                .into_iter()
                .map(|error| error.field)
                .collect();
            assert_eq!(fields.join(" "), expected, "{request}");
        }
    }
}
