//! Between the bytes of clients, the bytes of the store, and objects.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_apistore::{Attributes, Decode};
use mainstay_kinds::{KindRef, field_value, selectable_fields};
use mainstay_machinery::decode::{self, Expected, FieldValidation};
use mainstay_machinery::patch::{self, PatchKind, Patched};
use mainstay_machinery::status::StatusError;
use mainstay_machinery::{encode, meta};
use mainstay_schema::{Gvk, Resource, TypeId, protobuf, schema};
use serde_json::Value;

use super::dispatch::Registry;

/// What a stored value in upstream's protobuf form begins with.
const PROTOBUF_MAGIC: &[u8] = b"k8s\0";

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
    let mut value = parsed.map_err(|e| StatusError::bad_request(e.to_string()))?;
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
            None => Err(StatusError::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
            ])),
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
    Arc::new(move |_key, value| {
        let (bytes, object) = match stored(value) {
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
        let found: Vec<(&'static str, String)> = fields
            .iter()
            .filter_map(|field| {
                let value = field_value(kind, &object, field)?;
                Some((*field, value.into_owned()))
            })
            .collect();
        let indexed = index.and_then(|index| {
            let found = found.iter().find(|(field, _)| *field == index);
            found
                .map(|(_, value)| value.clone())
                .filter(|value| !value.is_empty())
        });
        let attributes = Attributes::new(labels, found, indexed.as_deref());
        Some((bytes, attributes))
    })
}

/// A stored value as canonical bytes and as an object.
fn stored(value: &Bytes) -> Result<(Bytes, Value), String> {
    if value.starts_with(PROTOBUF_MAGIC) {
        let (_, object) = protobuf::decode(value).map_err(|e| e.to_string())?;
        return Ok((encode::canonical(&object).into(), object));
    }
    let object: Value = serde_json::from_slice(value).map_err(|e| e.to_string())?;
    // What this server wrote is canonical already; copied, since it shares the buffer of a whole answer.
    match encode::splice(value, 1).is_some() {
        true => Ok((Bytes::copy_from_slice(value), object)),
        false => Ok((encode::canonical(&object).into(), object)),
    }
}

/// Canonical bytes as an object.
pub(super) fn parse(bytes: &Bytes) -> Option<Value> {
    stored(bytes).ok().map(|(_, object)| object)
}

/// Appends an object with its revision.
pub(super) fn write_object(bytes: &Bytes, revision: i64, out: &mut Vec<u8>) {
    let revision = u64::try_from(revision).unwrap_or(0);
    if !encode::splice_bytes(bytes, revision, out) {
        // Everything in the cache is canonical; a value that is not is sent without its revision rather than not at all.
        out.extend_from_slice(bytes);
    }
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
    /// The bytes to store.
    pub(super) fn encode(&self, resource: &Resource, object: &Value) -> Result<Bytes, StatusError> {
        let mut object = object.clone();
        if let Some(ty) = resource.ty {
            decode::prune_quietly(ty, &mut object).map_err(StatusError::internal)?;
            encode::complete(ty, &mut object);
        }
        Ok(encode::canonical(&object).into())
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
