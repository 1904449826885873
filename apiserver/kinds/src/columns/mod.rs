//! The columns of a Table per kind, and a row of them for an object, as `kubectl get` shows it.
//!
//! Column names, types and priorities are upstream's (`pkg/printers/internalversion`): clients choose
//! columns by them. A column of priority 1 is shown in wide output only.

mod autoscaling;
mod cells;
mod network;
mod nodes;
mod pods;
mod policy;
mod rows;
mod storage;
#[cfg(test)]
mod tests;
mod workloads;

use crate::kind::KindRef;
use serde_json::{Value, json};

/// One column of a Table (`metav1.TableColumnDefinition`).
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `boolean` or `date`.
    pub data_type: &'static str,
    /// `name` for the column that names the object, else "".
    pub format: &'static str,
    /// 0 is always shown, 1 in wide output.
    pub priority: i32,
    pub description: &'static str,
    cell: cells::Cell,
}

/// The columns of a kind. Kinds without columns of their own have a name and a time of creation.
#[must_use]
pub fn columns<'a>(kind: impl Into<KindRef<'a>>) -> &'static [Column] {
    let wanted = kind.into();
    let fits = |row: &&rows::Row| row.kind == wanted.kind && row.groups.contains(&wanted.group);
    rows::TABLE
        .iter()
        .find(fits)
        .map_or(rows::PLAIN, |row| row.columns)
}

/// The cells of one object, one for every column of its kind. `now` is in milliseconds since 1970.
#[must_use]
pub fn row<'a>(kind: impl Into<KindRef<'a>>, object: &Value, now_millis: i64) -> Vec<Value> {
    columns(kind)
        .iter()
        .map(|column| column.cell.of(object, now_millis))
        .collect()
}

/// The conditions of an object's row: pods that have ended say so.
#[must_use]
pub fn row_conditions<'a>(kind: impl Into<KindRef<'a>>, object: &Value) -> Vec<Value> {
    let kind = kind.into();
    if !kind.group.is_empty() || kind.kind != "Pod" {
        return Vec::new();
    }
    let (reason, message) = match crate::value::text(object, "status.phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return Vec::new(),
    };
    vec![json!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
}
