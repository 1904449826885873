//! What a PATCH request does with the current object.

use super::{apply_json_patch, merge_patch, parse_json_patch, strategic_merge_patch};
use crate::decode::{
    Expected, FieldValidation, KindError, Parsed, check_depth, check_kind, json, settle,
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
    let shown = (kind == PatchKind::Strategic).then(|| display(&parsed.value));
    match kind {
        PatchKind::Json => {
            strict.extend(unknown_members(&parsed.value, mode));
            let operations = parse_json_patch(parsed.value);
            operations
                .and_then(|operations| apply_json_patch(&mut object, operations))
                .map_err(super::PatchError::into_status)?;
        }
        PatchKind::Merge => merge_patch(&mut object, parsed.value),
        PatchKind::Strategic => strategic_merge_patch(expected.ty, &mut object, parsed.value)
            .map_err(super::PatchError::into_status)?,
    }
    let shown = || shown.clone().unwrap_or_else(|| object_text(&object));
    check_depth(&object).map_err(|e| invalid(shown(), &e.to_string()))?;
    if !object.is_object() {
        return Err(invalid(shown(), "json: the patched document is no object"));
    }
    let shown = shown();
    check_kind(&mut object, expected).map_err(|e| match e {
        KindError::Unrecognized(error) => invalid(shown.clone(), &error.to_string()),
        KindError::Answer(status) => *status,
    })?;
    settle(&mut object, expected.ty, mode, &mut strict)
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
