//! Objects as protobuf: `k8s\0` and a `runtime.Unknown` that carries the kind and the message.
//!
//! The tables know the field numbers; there are no generated types. Reading gives what Go would write as JSON
//! of the same bytes: zero values of fields that are not pointers and marked omitempty are left out, since
//! Go writes them to the wire always. Writing is the reverse and gives Go's bytes: fields in the order of
//! their numbers, zero values of what is not a pointer, map entries sorted by key.
//!
//! Strings of `Quantity` pass as they are; making them canonical is up to whoever validates. Unknown fields
//! are skipped.

mod decode;
mod encode;
mod error;
mod plan;
mod special;
mod time;

pub use self::decode::{decode, decode_as};
pub use self::encode::encode;
pub use self::error::Error;

/// The media type of such bodies.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
pub const MAGIC: &[u8; 4] = b"k8s\0";
