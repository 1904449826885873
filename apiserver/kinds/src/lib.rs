//! What differs from kind to kind: defaults, rules, printed columns.
#![forbid(unsafe_code)]

mod columns;
mod defaults;
mod fields;
mod image;
mod kind;
pub mod limits;
mod quantities;
mod resources;
mod scale;
mod selectors;
mod strategy;
mod time;
mod validate;
mod value;
mod warnings;

pub use columns::{Column, columns, row, row_conditions};
pub use defaults::default_object;
pub use fields::{field_sources, field_value, selectable_fields};
pub use kind::KindRef;
pub use scale::{apply_scale, scale_of};
pub use strategy::{
    Context, Part, Strategy, User, complete_name, grace_period_seconds,
    orphans_dependents_by_default, prepare_for_create, prepare_for_update,
};
pub use validate::{
    has_rules, service_address_errors, strict_event_errors, validate_create, validate_update,
};
pub use warnings::{deprecation, warnings};
