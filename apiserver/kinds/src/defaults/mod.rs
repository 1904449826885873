//! Default values: what kube-apiserver fills in when it decodes an object.
//!
//! `tables/defaults.txt` holds them as rules; only what a rule cannot say is a function (`hooks`).

mod hooks;
mod path;
mod pod_level;
mod table;
#[cfg(test)]
mod tests;

use crate::kind::KindRef;
use serde_json::Value;

/// Fills in the defaults of a kind. Doing it twice is the same as doing it once. An object whose
/// shape is not that of its kind never panics; places of the wrong type are left as they are.
pub fn default_object<'a>(kind: impl Into<KindRef<'a>>, object: &mut Value) {
    if object.is_object() {
        table::table().apply(kind.into(), object);
    }
}
