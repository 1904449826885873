//! Flags and the configuration file, under upstream's names.

mod file;
mod flags;
mod options;

pub use file::ConfigFile;
pub use flags::Flags;
pub use options::{Options, OptionsError};
