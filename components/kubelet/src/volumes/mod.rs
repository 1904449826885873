//! Volumes of pods: made, kept as their sources are, and taken away.
//!
//! A volume's files change all at once (`atomic_writer`); a part of a volume is opened so that no link leads out of it
//! (`sub_path`); nothing is removed as long as something is mounted below it (`tear_down`).

mod atomic_writer;
mod container_mounts;
mod empty_dir;
mod host_path;
mod hosts_file;
mod mount_table;
mod ownership;
mod payload;
mod set_up;
mod sources;
mod sub_path;
mod tear_down;
mod tokens;
#[expect(clippy::module_inception, reason = "it holds what the folder is about")]
mod volumes;
mod watched;

pub use sources::{Plugin, References};
pub use volumes::{MountError, Volumes};
