//! Flags and the configuration file, under upstream's names.

mod certificates;
mod file;
mod flags;
mod manifests;
mod options;

pub use certificates::CertificateOptions;
pub use file::ConfigFile;
pub use flags::Flags;
pub use manifests::ManifestOptions;
pub use options::{Options, OptionsError};
