//! What every component's `main` is made of: flags, logging, signals, pages, election, an orderly end.

mod figures;
mod flags;
mod run;
mod stop;

pub use figures::ProcessFigures;
pub use flags::{Flags, duration};
pub use run::{Component, Running, run};
pub use stop::Stop;
