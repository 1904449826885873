//! What the store must do, written to be obviously right instead of fast, and the test that compares.
//! Used with every engine.

pub(crate) mod reference;
pub(crate) mod run;
pub(crate) mod steps;
