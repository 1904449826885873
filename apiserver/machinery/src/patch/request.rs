//! What a PATCH request does with the current object.

use super::directive::SET_ORDER;
use super::{PatchError, apply_json_patch, merge_patch, parse_json_patch, strategic_merge_patch};
use crate::decode::{
    Expected, FieldValidation, KindError, Parsed, Words, check_depth, check_kind, json, settle,
    strict_error,
};
use crate::field::{Error, ErrorList, Path};
use crate::gofmt::{display, quote};
use crate::status::{GroupKind, StatusError};
use serde_json::{Map, Value};

/// The kind of a patch, from the request's content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/json-patch+json`.
    Json,
    /// `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
}

impl PatchKind {
    /// The kind of a media type without parameters; None for others, server-side apply among them.
    pub fn of_media_type(media_type: &str) -> Option<PatchKind> {
        match media_type {
            "application/json-patch+json" => Some(PatchKind::Json),
            "application/merge-patch+json" => Some(PatchKind::Merge),
            "application/strategic-merge-patch+json" => Some(PatchKind::Strategic),
            _ => None,
        }
    }
}

/// A patched object and what the client should be told about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Patched {
    /// The object in the form of the schema; not yet defaulted or validated.
    pub object: Value,
    /// Unknown and duplicate fields, for Warning headers.
    pub warnings: Vec<String>,
}

/// Patches a copy of the current object, which must have its `metadata.resourceVersion` if the patch may test it.
/// The caller has limited the patch's size.
pub fn apply(
    kind: PatchKind,
    expected: Expected<'_>,
    current: &Value,
    patch: &[u8],
    mode: FieldValidation,
) -> Result<Patched, StatusError> {
    let parsed = parse(kind, patch, mode)?;
    let mut strict = duplicates(&parsed, kind, mode);
    let mut object = current.clone();
    // What an error repeats: upstream shows the patch for a strategic one, else the patched object.
    let shown = (kind == PatchKind::Strategic).then(|| display(&without_ordered(&parsed.value)));
    match kind {
        PatchKind::Json => {
            strict.extend(unknown_members(&parsed.value, mode));
            let operations = parse_json_patch(parsed.value);
            operations
                .map_err(|e| of_checked(e, mode))
                .and_then(|operations| apply_json_patch(&mut object, operations))
                .map_err(PatchError::into_status)?;
        }
        PatchKind::Merge => merge_patch(&mut object, parsed.value),
        PatchKind::Strategic => strategic_merge_patch(expected.ty, &mut object, parsed.value)
            .map_err(PatchError::into_status)?,
    }
    let shown = || shown.clone().unwrap_or_else(|| object_text(&object));
    check_depth(&object).map_err(|e| invalid(shown(), &e.to_string()))?;
    if !object.is_object() {
        return Err(invalid(shown(), "json: the patched document is no object"));
    }
    let shown = shown();
    check_kind(&mut object, expected).map_err(|e| match e {
        KindError::Unrecognized(error) => invalid(shown.clone(), &error.to_string()),
        KindError::Foreign(_, why) => invalid(shown.clone(), &why),
        KindError::Answer(status) => *status,
    })?;
    let words = match kind {
        PatchKind::Strategic => Words::Converter,
        PatchKind::Json | PatchKind::Merge => Words::Decoder,
    };
    settle(&mut object, expected.ty, mode, words, &mut strict)
        .map_err(|e| invalid(shown.clone(), &e.to_string()))?;
    if mode == FieldValidation::Strict && !strict.is_empty() {
        return Err(invalid(shown, &strict_error(&strict)));
    }
    Ok(Patched {
        object,
        warnings: strict,
    })
}

fn parse(kind: PatchKind, patch: &[u8], mode: FieldValidation) -> Result<Parsed, StatusError> {
    let parsed = json(patch).map_err(|e| {
        StatusError::bad_request(match kind {
            PatchKind::Json if mode.reports() => format!("error decoding patch: {e}"),
            PatchKind::Merge if mode.reports() => format!("error decoding patch: {e}"),
            PatchKind::Merge => "Invalid JSON Patch".to_owned(),
            PatchKind::Json | PatchKind::Strategic => e.to_string(),
        })
    })?;
    if kind == PatchKind::Json || parsed.value.is_object() {
        return Ok(parsed);
    }
    let found = match parsed.value.is_array() {
        true => "array",
        false => crate::gofmt::type_name(&parsed.value),
    };
    let prefix = match kind == PatchKind::Merge && mode.reports() {
        true => "error decoding patch: ",
        false => "",
    };
    Err(StatusError::bad_request(format!(
        "{prefix}json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
    )))
}

/// Where fields are validated, upstream decodes the patch by rules of its own before.
fn of_checked(error: PatchError, mode: FieldValidation) -> PatchError {
    match error {
        PatchError::Malformed(text) if mode.reports() => {
            let text = text
                .replace("of type jsonpatch.Patch", "of type []handlers.jsonPatchOp")
                .replace(
                    "of type jsonpatch.Operation",
                    "of type handlers.jsonPatchOp",
                );
            PatchError::Malformed(format!("error decoding patch: {text}"))
        }
        other => other,
    }
}

/// A patch as upstream shows it: lists whose order it says have been taken out when they were merged.
fn without_ordered(patch: &Value) -> Value {
    let Value::Object(map) = patch else {
        return patch.clone();
    };
    let is_ordered = |key: &str| map.contains_key(&format!("{SET_ORDER}{key}"));
    let left = map
        .iter()
        .filter(|(key, _)| !key.starts_with(SET_ORDER) && !is_ordered(key));
    left.map(|(key, value)| (key.clone(), without_ordered(value)))
        .collect()
}

fn duplicates(parsed: &Parsed, kind: PatchKind, mode: FieldValidation) -> Vec<String> {
    if !mode.reports() {
        return Vec::new();
    }
    let prefix = if kind == PatchKind::Json {
        "json patch "
    } else {
        ""
    };
    let paths = parsed.duplicates.iter();
    paths
        .map(|path| format!("{prefix}duplicate field {}", quote(path)))
        .collect()
}

/// Members of operations that RFC 6902 does not know.
fn unknown_members(patch: &Value, mode: FieldValidation) -> Vec<String> {
    let operations = patch.as_array().filter(|_| mode.reports());
    let mut unknown = Vec::new();
    for (i, operation) in operations.into_iter().flatten().enumerate() {
        let empty = Map::new();
        for member in operation.as_object().unwrap_or(&empty).keys() {
            if !matches!(member.as_str(), "op" | "path" | "from" | "value") {
                unknown.push(format!(
                    "json patch unknown field {}",
                    quote(&format!("[{i}].{member}"))
                ));
            }
        }
    }
    unknown
}

fn object_text(object: &Value) -> String {
    object.to_string()
}

fn invalid(shown: String, why: &str) -> StatusError {
    let error = Error::invalid(&Path::new("patch"), shown, why);
    StatusError::invalid(GroupKind::default(), "", &ErrorList::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_schema::schema;
    use serde_json::json;

    fn refused(kind: PatchKind, patch: &Value) -> String {
        let ty = schema().by_name("io.k8s.api.apps.v1.Deployment");
        let expected = Expected {
            ty: ty.expect("deployments are in the tables"),
            group: "apps",
            version: "v1",
            kind: "Deployment",
        };
        let current = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "c", "image": "a"}]}}},
        });
        let patch = patch.to_string();
        let mode = FieldValidation::Strict;
        apply(kind, expected, &current, patch.as_bytes(), mode)
            .expect_err("a wrong patch")
            .message
    }

    #[test]
    fn strategic_patches_of_wrong_types_were_told_in_the_decoders_words() {
        for (patch, expected) in [
            (
                json!({"spec": {"replicas": "two"}}),
                "unrecognized type: int32",
            ),
            (json!({"spec": {"paused": 1}}), "unrecognized type: bool"),
            (
                json!({"metadata": {"labels": {"a": 1}}}),
                "cannot convert int64 to string",
            ),
            (
                json!({"metadata": {"labels": []}}),
                "cannot restore map from slice",
            ),
            (
                json!({"metadata": {"finalizers": {}}}),
                "cannot restore slice from map",
            ),
            (
                json!({"spec": {"strategy": "x"}}),
                "cannot restore struct from: string",
            ),
        ] {
            let told = refused(PatchKind::Strategic, &patch);
            assert!(told.ends_with(&format!("\": {expected}")), "{told}");
        }
    }

    #[test]
    fn lists_whose_order_a_patch_says_are_not_shown() {
        let patch = json!({"spec": {"template": {"spec": {
            "$setElementOrder/containers": [{"name": "c"}],
            "containers": [{"name": "c", "imagee": "b"}],
        }}}});
        let told = refused(PatchKind::Strategic, &patch);
        assert!(
            told.contains("\"map[spec:map[template:map[spec:map[]]]]\": strict decoding error"),
            "{told}"
        );
    }

    #[test]
    fn a_merge_patch_to_another_kind_was_a_bad_request() {
        let told = refused(
            PatchKind::Merge,
            &json!({"kind": "Scale", "apiVersion": "autoscaling/v1"}),
        );
        assert!(
            told.ends_with("converting (v1.Scale) to (apps.Deployment): unknown conversion"),
            "{told}"
        );
    }

    #[test]
    fn a_json_patch_that_is_no_list_is_told_by_who_checks_it() {
        assert_eq!(
            refused(PatchKind::Json, &json!({})),
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        );
    }
}
