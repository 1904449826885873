//! What the Kubernetes API consists of: types, resources, and the documents that describe them.
//!
//! [`schema`] has every type with its fields, read once from the text tables under `tables/`. Everything
//! here is pure and the same for all requests.
#![forbid(unsafe_code)]

mod parse;
mod schema;
mod tables;
mod types;

pub use self::schema::{Schema, schema};
pub use self::types::{Field, Gvk, ListKind, Patch, Scalar, Shape, Type, TypeDef, TypeId, Union};
