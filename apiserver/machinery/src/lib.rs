//! What can be done with any Kubernetes object: decoding, patching, selecting, validating.
//!
//! Objects are `serde_json::Value`s; what a field may hold comes from `mainstay-schema`. Nothing here does I/O,
//! knows the time or keeps state.
//!
//! Texts and results are those of Kubernetes' Go libraries. Where they differ on purpose or for want of a reason:
//! - Quantities: `Value()` of what does not fit saturates instead of wrapping, negatives round away from zero, and a
//!   decimal number beyond `E` keeps its zeros (`1000E`), which Go loses. Numbers end at about 10²⁹.
//! - YAML in: a second document is refused instead of ignored; infinities are text; syntax errors have the parser's own
//!   words. YAML out: a map's key of several lines or more than 128 bytes is quoted instead of written after `?`.
//! - JSON: depth ends at [`limits::DEPTH_MAX`]; text that is not UTF-8 and lone surrogates are errors instead of U+FFFD;
//!   of a struct given twice the last counts instead of both merged; bytes may not be given as a list of numbers.
//! - Type errors call named string types `string`; of several errors the first by field name is told, not by place.
//! - Strategic merge patch: `$setElementOrder` for lists that are empty on both sides, and together with `$patch: replace`,
//!   works instead of failing; server-only elements keep their order where Go's depends on shared memory.
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
