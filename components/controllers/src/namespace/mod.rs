//! Namespaces that are being deleted: everything in them goes first, pods before all else (KEP-5080), and the
//! namespace says meanwhile what it waits for.

mod conditions;
mod content;
mod controller;

pub use controller::namespaces;
