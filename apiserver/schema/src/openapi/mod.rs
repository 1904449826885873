//! The OpenAPI documents: version 3 per group and version with an index, version 2 as one, in JSON and in
//! protobuf.
//!
//! [`operations`] says which paths and operations there are, [`schemas`] what the types look like; both know
//! nothing of a document version. `v3` and `v2` write documents of them, `gnostic` turns the JSON of version 2
//! into the protobuf that older kubectls ask for. All are made at first request and kept.

mod gnostic;
mod ids;
mod operations;
mod params;
mod paths;
mod schemas;
mod v2;
mod v3;

pub use self::v2::{v2_json, v2_protobuf};
pub use self::v3::{v3_document, v3_index};

/// The media types that ask for [`v2_protobuf`]; clients up to today ask with the first.
pub const V2_PROTOBUF_ACCEPTED: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    V2_PROTOBUF,
];

/// The media type that [`v2_protobuf`] is answered as. Not with an `@`: kubectl fails on a content type that
/// is none by the standard.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
