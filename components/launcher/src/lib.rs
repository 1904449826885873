//! What brings clusters up and down: the program `mainstay`.
//!
//! It knows the other programs by their flags, the apiserver as any client does, and the machine by the commands
//! every Linux has.

#![forbid(unsafe_code)]

mod cli;
pub mod command;
mod doctor;
pub mod limits;
mod screen;

pub use cli::run;
