//! What a cell of a column shows.

use crate::selectors::{labels_text, selector_text};
use crate::time::ago;
use crate::value::{at, flag, int, list, map, text};
use serde_json::Value;

pub(super) const NONE: &str = "<none>";
pub(super) const UNSET: &str = "<unset>";

/// How a cell follows from an object; the paths start at the object.
#[derive(Debug)]
pub(super) enum Cell {
    /// The string at a path, or else this.
    Text(&'static str, &'static str),
    /// The integer at a path, or 0.
    Int(&'static str),
    /// The boolean at a path, or else this.
    Bool(&'static str, bool),
    /// How many items or entries are there.
    Count(&'static str),
    /// How long ago the time at a path is.
    Age(&'static str),
    /// Strings of a list, joined by commas, or else this.
    Joined(&'static str, &'static str),
    /// A map of labels.
    Labels(&'static str),
    /// A label selector.
    Selector(&'static str),
    /// A field of every container of the pod spec at a path.
    Containers(&'static str, &'static str),
    /// Anything else: the object and the time now in milliseconds.
    Of(fn(&Value, i64) -> Value),
}

impl Cell {
    pub(super) fn of(&self, object: &Value, now_millis: i64) -> Value {
        match self {
            Cell::Text(path, none) => or(text(object, path), none).into(),
            Cell::Int(path) => int(object, path).into(),
            Cell::Bool(path, none) => at(object, path)
                .map_or(*none, |_| flag(object, path))
                .into(),
            Cell::Count(path) => {
                let entries = map(object, path).map_or(0, serde_json::Map::len);
                (entries + list(object, path).len()).into()
            }
            Cell::Age(path) => ago(at(object, path), now_millis).into(),
            Cell::Joined(path, none) => or(&joined(list(object, path)), none).into(),
            Cell::Labels(path) => or(&labels_text(at(object, path)), NONE).into(),
            Cell::Selector(path) => match selector_text(at(object, path)) {
                Some(selector) => or(&selector, NONE).into(),
                None => "<error>".into(),
            },
            Cell::Containers(path, field) => {
                let fields = list(object, path)
                    .iter()
                    .map(|container| text(container, field));
                fields.collect::<Vec<_>>().join(",").into()
            }
            Cell::Of(show) => show(object, now_millis),
        }
    }
}

pub(super) fn or<'a>(text: &'a str, none: &'a str) -> &'a str {
    if text.is_empty() { none } else { text }
}

pub(super) fn joined(items: &[Value]) -> String {
    items
        .iter()
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join(",")
}

/// An integer or a string as text.
pub(super) fn plain(value: Option<&Value>, none: &str) -> String {
    match value {
        None | Some(Value::Null) => none.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The first `max` items, and how many more there are.
pub(super) fn listed(items: &[String], max: usize, separator: &str) -> String {
    let shown = items[..items.len().min(max)].join(separator);
    match items.len().saturating_sub(max) {
        0 => or(&shown, NONE).to_owned(),
        more => format!("{shown} + {more} more..."),
    }
}

/// Whether the object has a condition of this type that is true.
pub(super) fn is_true(object: &Value, kind: &str) -> bool {
    let conditions = list(object, "status.conditions").iter();
    let mut of_kind = conditions.filter(|condition| text(condition, "type") == kind);
    of_kind
        .next()
        .is_some_and(|condition| text(condition, "status") == "True")
}

/// The object's name, marked where the object is the default of its kind.
pub(super) fn name_or_default(object: &Value, annotation: &str) -> Value {
    let default = crate::value::entry_text(object, "metadata.annotations", annotation) == "true";
    let name = text(object, "metadata.name");
    if default {
        format!("{name} (default)").into()
    } else {
        name.into()
    }
}
