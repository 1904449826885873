//! What brings clusters up and down: the program `mainstay`.
//!
//! It knows the other programs by their flags, the apiserver as any client does, and the machine by the commands
//! every Linux has.

#![forbid(unsafe_code)]

mod balance;
mod cli;
mod cluster;
pub mod command;
mod containerd;
mod doctor;
mod files;
mod host;
mod images;
mod inspect;
mod join;
pub mod limits;
mod load;
mod machine;
mod network;
mod pki;
mod screen;
mod stock;
mod supervise;
mod tokens;
mod up;

pub use cli::run;
