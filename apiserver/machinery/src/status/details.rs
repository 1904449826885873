//! The machine-readable part of a failure.

use crate::field;
use serde_json::{Map, Value};

/// Names of causes that are not field errors (`metav1.CauseType`).
pub mod cause_type {
    /// The body of an answer was not understood.
    pub const UNEXPECTED_SERVER_RESPONSE: &str = "UnexpectedServerResponse";
    /// Another manager owns the field.
    pub const FIELD_MANAGER_CONFLICT: &str = "FieldManagerConflict";
    /// The resource version asked for is in the future.
    pub const RESOURCE_VERSION_TOO_LARGE: &str = "ResourceVersionTooLarge";
    /// The namespace is being deleted.
    pub const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";
    /// An eviction must wait for a disruption budget.
    pub const DISRUPTION_BUDGET: &str = "DisruptionBudget";
}

/// `metav1.StatusDetails`. Empty parts are left out on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// The object's name.
    pub name: String,
    /// The group of the resource or kind.
    pub group: String,
    /// The resource's plural name, or the kind for invalid objects.
    pub kind: String,
    /// The object's uid.
    pub uid: String,
    /// Each thing that is wrong.
    pub causes: Vec<Cause>,
    /// Seconds after which a client may try again; 0 is left out. Goes into the Retry-After header too.
    pub retry_after_seconds: u32,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cause {
    /// Its type, on the wire as `reason`; may be empty.
    pub reason: String,
    /// The text for people.
    pub message: String,
    /// The path of the field; may be empty.
    pub field: String,
}

impl From<&field::Error> for Cause {
    fn from(error: &field::Error) -> Cause {
        Cause {
            reason: error.kind.cause_type().to_owned(),
            message: error.body(),
            field: error.field.clone(),
        }
    }
}

impl Details {
    pub(super) fn to_value(&self) -> Value {
        let mut map = Map::new();
        put(&mut map, "name", &self.name);
        put(&mut map, "group", &self.group);
        put(&mut map, "kind", &self.kind);
        put(&mut map, "uid", &self.uid);
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(Cause::to_value).collect();
            map.insert("causes".to_owned(), Value::Array(causes));
        }
        if self.retry_after_seconds > 0 {
            map.insert(
                "retryAfterSeconds".to_owned(),
                self.retry_after_seconds.into(),
            );
        }
        Value::Object(map)
    }

    pub(super) fn from_value(value: &Value) -> Details {
        let causes = value["causes"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        Details {
            name: text(value, "name"),
            group: text(value, "group"),
            kind: text(value, "kind"),
            uid: text(value, "uid"),
            causes: causes.iter().map(Cause::from_value).collect(),
            retry_after_seconds: value["retryAfterSeconds"]
                .as_u64()
                .and_then(|s| u32::try_from(s).ok())
                .unwrap_or_default(),
        }
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut map = Map::new();
        put(&mut map, "reason", &self.reason);
        put(&mut map, "message", &self.message);
        put(&mut map, "field", &self.field);
        Value::Object(map)
    }

    fn from_value(value: &Value) -> Cause {
        Cause {
            reason: text(value, "reason"),
            message: text(value, "message"),
            field: text(value, "field"),
        }
    }
}

pub(super) fn put(map: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        map.insert(key.to_owned(), text.into());
    }
}

pub(super) fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
