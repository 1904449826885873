//! The body of a request that carries an object.

use super::order::sort_as_in;
use super::prune::{Words, run};
use super::{DecodeError, FieldValidation, json, json_lenient, yaml};
use crate::gofmt::quote;
use crate::limits::STRICT_ERRORS_MAX;
use crate::meta::{join_api_version, split_api_version};
use crate::status::StatusError;
use mainstay_schema::{TypeId, schema};
use serde_json::Value;

/// How many bytes of an unrecognized body are repeated in the error.
const SUMMARY_BYTES: usize = 30;

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
}

/// What the body must be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The type it is decoded to.
    pub ty: TypeId,
    /// The group of the request.
    pub group: &'a str,
    /// The version of the request.
    pub version: &'a str,
    /// The kind of the resource.
    pub kind: &'a str,
}

/// An object and what a client should be told about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object, with `kind` and `apiVersion`.
    pub object: Value,
    /// Unknown and duplicate fields (`unknown field "spec.x"`), for Warning headers.
    pub warnings: Vec<String>,
}

/// Decodes the body of a create or update: parses, checks kind and version, prunes by the schema. A body without
/// kind and apiVersion is taken for what is expected. The caller has limited the body's size.
pub fn object(
    bytes: &[u8],
    media: Media,
    expected: Expected<'_>,
    mode: FieldValidation,
) -> Result<Decoded, StatusError> {
    let unrecognized = |error: &DecodeError| unrecognized(expected.kind, error, bytes);
    let (mut object, mut strict) = parse(bytes, media, mode).map_err(|e| unrecognized(&e))?;
    if !object.is_object() {
        let found = super::scalar::json_type(&object);
        let message = format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
        );
        return Err(unrecognized(&DecodeError::new(message)));
    }
    check_kind(&mut object, expected).map_err(|e| match e {
        KindError::Unrecognized(error) => unrecognized(&error),
        KindError::Foreign(status, _) | KindError::Answer(status) => *status,
    })?;
    settle(&mut object, expected.ty, mode, Words::Decoder, &mut strict)
        .map_err(|e| transform_error(expected, &e.to_string()))?;
    if media == Media::Json {
        sort_as_in(bytes, &mut strict);
    }
    if mode == FieldValidation::Strict && !strict.is_empty() {
        return Err(transform_error(expected, &strict_error(&strict)));
    }
    Ok(Decoded {
        object,
        warnings: strict,
    })
}

/// Prunes, and adds unknown fields to the list of what is wrong.
pub(crate) fn settle(
    object: &mut Value,
    ty: TypeId,
    mode: FieldValidation,
    words: Words,
    strict: &mut Vec<String>,
) -> Result<(), DecodeError> {
    let unknown = run(ty, object, mode.reports(), words)?.unknown;
    drop_inside(strict, &unknown);
    strict.extend(
        unknown
            .iter()
            .map(|path| format!("unknown field {}", quote(path))),
    );
    strict.truncate(STRICT_ERRORS_MAX);
    Ok(())
}

/// The document and its duplicate keys as messages.
fn parse(
    bytes: &[u8],
    media: Media,
    mode: FieldValidation,
) -> Result<(Value, Vec<String>), DecodeError> {
    let prefixed = |e: DecodeError| {
        DecodeError::new(format!("couldn't get version/kind; json parse error: {e}"))
    };
    match media {
        Media::Json if !mode.reports() => Ok((json_lenient(bytes).map_err(prefixed)?, Vec::new())),
        Media::Json => {
            let parsed = json(bytes).map_err(prefixed)?;
            let duplicates = parsed.duplicates.iter();
            let messages = duplicates.map(|path| format!("duplicate field {}", quote(path)));
            Ok((parsed.value, messages.collect()))
        }
        Media::Yaml => {
            let parsed = yaml(bytes)?;
            Ok((parsed.value, parsed.duplicates))
        }
    }
}

/// Go skips the content of unknown fields, so duplicates inside are not seen.
fn drop_inside(duplicates: &mut Vec<String>, unknown: &[String]) {
    if unknown.is_empty() {
        return;
    }
    duplicates.retain(|message| {
        let Some(path) = message.strip_prefix("duplicate field \"") else {
            return true;
        };
        let path = path.trim_end_matches('"');
        !unknown.iter().any(|outer| {
            path.strip_prefix(outer.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    });
}

pub(crate) enum KindError {
    Unrecognized(DecodeError),
    /// Another kind than expected, and why it cannot be made one.
    Foreign(Box<StatusError>, String),
    /// Another version than expected.
    Answer(Box<StatusError>),
}

/// Fills in kind and version, and refuses others than expected.
pub(crate) fn check_kind(object: &mut Value, expected: Expected<'_>) -> Result<(), KindError> {
    for field in ["apiVersion", "kind"] {
        let value = &object[field];
        if !(value.is_null() || value.is_string()) {
            let found = super::scalar::json_type(value);
            let message = format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go struct field .{field} of type string"
            );
            return Err(KindError::Unrecognized(DecodeError::new(message)));
        }
    }
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    if api_version.matches('/').count() > 1 {
        let message = format!("unexpected GroupVersion string: {api_version}");
        return Err(KindError::Unrecognized(DecodeError::new(message)));
    }
    let (group, version) = split_api_version(api_version);
    let (group, version) = match (group, version) {
        ("", "") => (expected.group, expected.version),
        other => other,
    };
    let kind = object["kind"]
        .as_str()
        .filter(|k| !k.is_empty())
        .unwrap_or(expected.kind);
    let actual = (group, version, kind);
    if actual != (expected.group, expected.version, expected.kind) {
        return Err(wrong_kind(actual, expected));
    }
    object["apiVersion"] = join_api_version(expected.group, expected.version).into();
    object["kind"] = expected.kind.into();
    Ok(())
}

/// The body is another kind, or another version, than the request's.
fn wrong_kind(actual: (&str, &str, &str), expected: Expected<'_>) -> KindError {
    let (group, version, kind) = actual;
    let foreign = |base: String| {
        let status = cannot_be_handled(kind, version, expected.kind, &base);
        KindError::Foreign(Box::new(status), base)
    };
    let api_version = join_api_version(group, version);
    if schema().by_gvk(group, version, kind).is_none() {
        return foreign(format!(
            "no kind {} is registered for version {} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            quote(kind),
            quote(&api_version)
        ));
    }
    if kind != expected.kind || group != expected.group {
        let package = |group: &str| match group.split('.').next() {
            Some("") | None => "core".to_owned(),
            Some(first) => first.to_owned(),
        };
        return foreign(format!(
            "converting ({version}.{kind}) to ({}.{}): unknown conversion",
            package(expected.group),
            expected.kind
        ));
    }
    KindError::Answer(Box::new(StatusError::bad_request(format!(
        "the API version in the data ({api_version}) does not match the expected API version ({})",
        join_api_version(expected.group, expected.version)
    ))))
}

/// `strict decoding error: unknown field "a", duplicate field "b"`.
pub fn strict_error(errors: &[String]) -> String {
    format!("strict decoding error: {}", errors.join(", "))
}

/// `Deployment in version "v1" cannot be handled as a Deployment: WHY`.
pub fn transform_error(expected: Expected<'_>, why: &str) -> StatusError {
    cannot_be_handled(expected.kind, expected.version, expected.kind, why)
}

fn cannot_be_handled(kind: &str, version: &str, as_kind: &str, why: &str) -> StatusError {
    StatusError::bad_request(format!(
        "{kind} in version {} cannot be handled as a {as_kind}: {why}",
        quote(version)
    ))
}

fn unrecognized(kind: &str, error: &DecodeError, bytes: &[u8]) -> StatusError {
    StatusError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {error} ({})",
        summary(bytes)
    ))
}

fn summary(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SUMMARY_BYTES)];
    let more = if bytes.len() > SUMMARY_BYTES {
        " ..."
    } else {
        ""
    };
    match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => {
            let hex: String = shown.iter().map(|b| format!("{b:02x}")).collect();
            format!("{hex}{more}")
        }
    }
}
