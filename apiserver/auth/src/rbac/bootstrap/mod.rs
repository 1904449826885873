//! The roles and bindings every cluster starts with.

mod table;

pub use table::{Gate, Policy, node_rules, policy};
