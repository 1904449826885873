//! Start and end of the process.

mod again;
mod found;
mod repair;
mod restore;
mod run;

pub use run::main;
