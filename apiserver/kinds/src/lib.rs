//! What differs from kind to kind: defaults, rules, printed columns.
#![forbid(unsafe_code)]

mod defaults;
mod image;
mod kind;
mod quantities;
mod resources;
mod strategy;
mod value;

pub use defaults::default_object;
pub use kind::KindRef;
pub use strategy::{
    Context, NameRule, Part, Strategy, User, complete_name, grace_period_seconds,
    orphans_dependents_by_default, prepare_for_create, prepare_for_update,
};
