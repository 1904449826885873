//! Where pods come from: the apiserver, and a folder of this machine.

mod api;
mod files;
mod manifest;
mod mirror;
mod spoken;

pub use api::follow_api;
pub use files::{Files, follow_files};
pub use manifest::pod_of;
pub use mirror::Mirrors;
pub use spoken::Spoken;
