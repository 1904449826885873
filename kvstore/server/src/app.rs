//! Start and end of the process.

mod found;
mod run;

pub use run::main;
