//! What the store must do, written to be obviously right instead of fast, and the test that compares.
//! Used with every engine.

pub mod reference;
pub mod run;
pub mod steps;
