//! What can be done with any Kubernetes object: decoding, patching, selecting, validating.
//!
//! Objects are `serde_json::Value`s; what a field may hold comes from `mainstay-schema`. Nothing here does I/O,
//! knows the time or keeps state.
#![forbid(unsafe_code)]

pub mod decode;
pub mod defaults;
pub mod encode;
pub mod field;
pub mod gofmt;
pub mod limits;
pub mod meta;
pub mod patch;
pub mod quantity;
pub mod selector;
pub mod status;
pub mod validate;
