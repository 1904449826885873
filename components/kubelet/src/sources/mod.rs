//! Where pods come from: the apiserver, a folder of this machine, and a server.

mod api;
mod files;
mod manifest;
mod mirror;
mod references;
mod server;
mod spoken;

pub use api::follow_api;
pub use files::{Files, follow_files};
pub use manifest::{Origin, pod_of, pods_of};
pub use mirror::Mirrors;
pub use server::{ManifestServer, ManifestServerError, follow_server};
pub use spoken::Spoken;
