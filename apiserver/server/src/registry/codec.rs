//! Between the bytes of clients, the bytes of the store, and objects.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_apistore::{Attributes, Decode, Object};
use mainstay_kinds::{KindRef, field_sources, field_value, selectable_fields};
use mainstay_machinery::decode::{self, Expected, FieldValidation, Outline};
use mainstay_machinery::patch::{self, PatchKind, Patched};
use mainstay_machinery::status::{Reason, StatusError};
use mainstay_machinery::{encode, meta};
use mainstay_schema::{Gvk, Resource, TypeId, protobuf, schema};
use serde_json::Value;

use super::convert;
use super::dispatch::Registry;
use super::write::with_revision;

/// What a stored value in upstream's protobuf form begins with.
const PROTOBUF_MAGIC: &[u8] = b"k8s\0";
/// Bytes of a revision in an object, at most.
const REVISION_BYTES: usize = 48;

/// The form of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Yaml,
    Protobuf,
}

impl Media {
    /// Of a content type without parameters; none is JSON.
    pub(super) fn of(content_type: &str) -> Result<Self, StatusError> {
        match content_type {
            "" | "application/json" => Ok(Self::Json),
            "application/yaml" => Ok(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Ok(Self::Protobuf),
            _ => Err(StatusError::unsupported_media_type(&[
                "application/json",
                "application/yaml",
                "application/vnd.kubernetes.protobuf",
            ])),
        }
    }
}

fn expected(gvk: Gvk, ty: TypeId) -> Expected<'static> {
    Expected {
        ty,
        group: gvk.group,
        version: gvk.version,
        kind: gvk.kind,
    }
}

/// The type of a kind that is decoded.
fn type_of(gvk: Gvk, ty: Option<TypeId>) -> Result<TypeId, StatusError> {
    ty.ok_or_else(|| {
        StatusError::internal(format_args!("the tables have no type for {}", gvk.kind))
    })
}

/// A body as an object of a kind, with what the client should be told.
pub(super) fn decode_body(
    body: &Bytes,
    media: Media,
    gvk: Gvk,
    ty: Option<TypeId>,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), StatusError> {
    let ty = type_of(gvk, ty)?;
    // As in Go, `null` is an object of which nothing is said.
    let nothing = Bytes::from_static(b"{}");
    let body = match media == Media::Json && body.trim_ascii() == b"null" {
        true => &nothing,
        false => body,
    };
    let media = match media {
        Media::Json => decode::Media::Json,
        Media::Yaml => decode::Media::Yaml,
        Media::Protobuf => {
            let (found, object) =
                protobuf::decode(body).map_err(|e| StatusError::bad_request(e.to_string()))?;
            if found != gvk {
                return Err(StatusError::bad_request(format!(
                    "the API version in the data ({}) does not match the expected API version ({})",
                    found.api_version(),
                    gvk.api_version()
                )));
            }
            // Unknown fields do not survive the wire; quantities and times are still to be checked.
            let bytes = encode::json(&object);
            let decoded =
                decode::object(&bytes, decode::Media::Json, expected(gvk, ty), validation)?;
            return Ok((decoded.object, decoded.warnings));
        }
    };
    let decoded = decode::object(body, media, expected(gvk, ty), validation)?;
    Ok((decoded.object, decoded.warnings))
}

/// The options of a deletion in a body.
pub(super) fn decode_options(body: &Bytes, content_type: &str) -> Result<Value, StatusError> {
    let gvk = Gvk {
        group: "meta.k8s.io",
        version: "v1",
        kind: "DeleteOptions",
    };
    let media = Media::of(content_type)?;
    let parsed = match media {
        Media::Json => decode::json_lenient(body),
        Media::Yaml => decode::yaml(body).map(|parsed| parsed.value),
        Media::Protobuf => {
            return protobuf::decode_as(body, gvk)
                .map(|(_, value)| value)
                .map_err(|e| StatusError::bad_request(e.to_string()));
        }
    };
    let mut value = parsed.map_err(|e| {
        StatusError::bad_request(format!("couldn't get version/kind; json parse error: {e}"))
    })?;
    if !value.is_object() {
        return Err(StatusError::bad_request("DeleteOptions must be an object"));
    }
    let ty = schema().by_name("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
    if let Some(ty) = ty {
        decode::prune_quietly(ty, &mut value)
            .map_err(|e| StatusError::bad_request(e.to_string()))?;
    }
    Ok(value)
}

/// A patch as it came.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    kind: PatchKind,
    body: Bytes,
}

impl Patch {
    pub(super) fn read(content_type: &str, body: &Bytes) -> Result<Self, StatusError> {
        match PatchKind::of_media_type(content_type) {
            Some(kind) => Ok(Self {
                kind,
                body: body.clone(),
            }),
            // Said by upstream's router, which knows what each path takes.
            None => Err(StatusError {
                details: Some(Box::default()),
                ..StatusError::new(
                    415,
                    Reason::UnsupportedMediaType,
                    "415: Unsupported Media Type",
                )
            }),
        }
    }

    /// The object that the current one becomes.
    pub(super) fn apply(
        &self,
        current: &Value,
        gvk: Gvk,
        ty: Option<TypeId>,
        validation: FieldValidation,
    ) -> Result<Patched, StatusError> {
        let expected = expected(gvk, type_of(gvk, ty)?);
        patch::apply(self.kind, expected, current, &self.body, validation)
    }
}

/// The field by which a resource's objects are indexed.
pub(super) fn index_field(resource: &Resource) -> Option<&'static str> {
    match (resource.group, resource.plural) {
        ("", "pods") => Some("spec.nodeName"),
        _ => None,
    }
}

/// What the cache must know of a resource's objects.
pub(crate) fn decoder(resource: &'static Resource) -> Decode {
    let kind = KindRef::from(resource);
    let fields = selectable_fields(kind);
    let index = index_field(resource);
    let sources = fields.iter().flat_map(|field| field_sources(field));
    let outline = Outline::new(sources.chain(["metadata.labels"]));
    Arc::new(move |_key, value| {
        let (bytes, object) = match outlined(value, &outline) {
            Ok(read) => read,
            Err(e) => {
                tracing::error!(
                    "a stored object of {} is not readable: {e}",
                    resource.plural
                );
                return None;
            }
        };
        let labels = meta::labels(&object).into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
        // What is not there counts as empty: nothing of it need be kept.
        let found: Vec<(&'static str, String)> = fields
            .iter()
            .filter_map(|field| {
                let value = field_value(kind, &object, field)?;
                (!value.is_empty()).then(|| (*field, value.into_owned()))
            })
            .collect();
        let indexed = index.and_then(|index| {
            let found = found.iter().find(|(field, _)| *field == index);
            found.map(|(_, value)| value.clone())
        });
        let attributes = Attributes::new(labels, found, indexed.as_deref());
        Some((bytes, attributes))
    })
}

/// A stored value as canonical bytes, with those of its members that are in the outline, at least.
fn outlined(value: &Bytes, outline: &Outline) -> Result<(Bytes, Value), String> {
    if !encode::is_canonical(value) {
        return stored(value);
    }
    let object = outline.read(value).map_err(|e| e.to_string())?;
    Ok((value.clone(), object))
}

/// A stored value as canonical bytes and as an object.
fn stored(value: &Bytes) -> Result<(Bytes, Value), String> {
    if value.starts_with(PROTOBUF_MAGIC) {
        let (_, object) = protobuf::decode(value).map_err(|e| e.to_string())?;
        return Ok((encode::canonical(&object).into(), object));
    }
    let object: Value = serde_json::from_slice(value).map_err(|e| e.to_string())?;
    // What this server wrote is canonical already.
    match encode::is_canonical(value) {
        true => Ok((value.clone(), object)),
        false => Ok((encode::canonical(&object).into(), object)),
    }
}

/// Of canonical bytes what is in an outline.
pub(crate) fn parse_parts(bytes: &Bytes, outline: &Outline) -> Option<Value> {
    outlined(bytes, outline).ok().map(|(_, object)| object)
}

/// Canonical bytes as an object.
pub(super) fn parse(bytes: &Bytes) -> Option<Value> {
    stored(bytes).ok().map(|(_, object)| object)
}

/// A cached object as a resource serves it.
pub(super) fn parse_served(resource: &Resource, object: &Object) -> Option<Value> {
    let mut value = with_revision(parse(&object.value)?, object.revision);
    convert::to_served(resource, &mut value);
    Some(value)
}

/// Appends a value.
pub(super) fn write_value(value: &Value, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a value of JSON has only text keys");
}

/// Appends an object with its revision.
pub(super) fn write_object(bytes: &Bytes, revision: i64, out: &mut Vec<u8>) {
    let revision = u64::try_from(revision).unwrap_or(0);
    if !encode::splice_bytes(bytes, revision, out) {
        // Everything in the cache is canonical; a value that is not is sent without its revision rather than not at all.
        out.extend_from_slice(bytes);
    }
}

/// An object with its revision, if the bytes are such that nothing else need be done.
pub(super) fn served(bytes: &Bytes, revision: i64) -> Option<Vec<u8>> {
    let revision = u64::try_from(revision).ok()?;
    if !encode::is_canonical(bytes) {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len() + REVISION_BYTES);
    encode::splice_bytes(bytes, revision, &mut out).then_some(out)
}

/// Appends the metadata of an object with its revision.
pub(super) fn write_metadata(bytes: &Bytes, revision: i64, out: &mut Vec<u8>) -> bool {
    encode::partial_bytes(bytes, u64::try_from(revision).unwrap_or(0), out)
}

/// Appends an object as the item of a list.
pub(super) fn write_item(bytes: &Bytes, revision: i64, out: &mut Vec<u8>) {
    let at = out.len();
    let revision = u64::try_from(revision).unwrap_or(0);
    if !encode::list_item(bytes, revision, true, out) {
        out.truncate(at);
        out.extend_from_slice(bytes);
    }
}

impl Registry {
    /// The bytes to store. The object becomes what they say.
    pub(super) fn encode(
        &self,
        resource: &Resource,
        object: &mut Value,
    ) -> Result<Bytes, StatusError> {
        if let Some(ty) = resource.ty {
            decode::prune_quietly(ty, object).map_err(StatusError::internal)?;
            encode::complete(ty, object);
        }
        Ok(encode::canonical(object).into())
    }

    /// A stored value as an object without its revision.
    pub(super) fn decode_stored(
        &self,
        resource: &Resource,
        value: &Bytes,
    ) -> Result<Value, StatusError> {
        match stored(value) {
            Ok((_, object)) => Ok(object),
            Err(e) => Err(StatusError::internal(format_args!(
                "a stored object of {} is not readable: {e}",
                resource.plural
            ))),
        }
    }
}
