//! What the Kubernetes API consists of: types, resources, and the documents that describe them.
//!
//! [`schema`] has every type with its fields and [`resources`] everything that is served; both are read once
//! from the text tables under `tables/`. [`discovery`] and [`openapi`] make documents of them, [`protobuf`]
//! reads and writes objects by them. Everything here is pure and the same for all requests.
#![forbid(unsafe_code)]

mod descriptions;
pub mod discovery;
mod document;
pub mod limits;
pub mod openapi;
mod parse;
pub mod protobuf;
mod resource_table;
mod resources;
mod schema;
mod tables;
mod types;
mod wire;

pub use self::document::Document;
pub use self::resources::{
    Creatable, Resource, Subresource, Verb, Verbs, groups, resource, resource_of_kind, resources,
};
pub use self::schema::{Schema, schema};
pub use self::types::{Field, Gvk, ListKind, Patch, Scalar, Shape, Type, TypeDef, TypeId, Union};
