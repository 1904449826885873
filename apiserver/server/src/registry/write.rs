//! What creates, updates and deletes have in common.

use bytes::Bytes;
use mainstay_apistore::Failure;
use mainstay_auth::UserInfo;
use mainstay_kinds::{Context, User};
use mainstay_machinery::field::ErrorList;
use mainstay_machinery::meta;
use mainstay_machinery::status::{GroupKind, GroupResource, Reason, StatusError};
use mainstay_schema::Resource;
use serde_json::Value;

/// An object as it is in the store after a write.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// With its `resourceVersion`.
    pub(crate) object: Value,
    /// The same as it is stored, if it is.
    pub(crate) stored: Option<(Bytes, i64)>,
    pub(crate) warnings: Vec<String>,
    /// Whether it did not exist before.
    pub(crate) created: bool,
}

/// The user of a request in the form that strategies take.
pub(crate) struct Author {
    now: String,
    name: String,
    uid: String,
    groups: Vec<String>,
    extra: Vec<(String, Vec<String>)>,
}

impl Author {
    pub(crate) fn new(user: &UserInfo) -> Self {
        Self {
            now: now(),
            name: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone().into_iter().collect(),
        }
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            now: &self.now,
            user: User {
                name: &self.name,
                uid: &self.uid,
                groups: &self.groups,
                extra: &self.extra,
            },
        }
    }
}

/// The current time as timestamps of objects have it.
pub(crate) fn now() -> String {
    meta::format_time(after(0))
}

pub(crate) fn of_resource(resource: &Resource) -> GroupResource<'static> {
    GroupResource::new(resource.group, resource.plural)
}

pub(crate) fn of_kind(resource: &Resource) -> GroupKind<'static> {
    GroupKind::new(resource.group, resource.kind)
}

/// `Err` for a list that is not empty.
pub(crate) fn refuse(
    resource: &Resource,
    name: &str,
    errors: &ErrorList,
) -> Result<(), StatusError> {
    match errors.is_empty() {
        true => Ok(()),
        false => Err(StatusError::invalid(of_kind(resource), name, errors)),
    }
}

/// What a failed call to the store is to a client.
pub(crate) fn store_failure(failure: &Failure) -> StatusError {
    match failure {
        Failure::Compacted => StatusError::list_compacted(),
        Failure::TooLarge => {
            StatusError::request_entity_too_large("etcdserver: request is too large")
        }
        Failure::Overloaded => StatusError::too_many_requests("etcdserver: too many requests", 1),
        Failure::NoSpace => StatusError::new(
            500,
            Reason::InternalError,
            "etcdserver: mvcc: database space exceeded",
        ),
        Failure::Unavailable(_) => StatusError::service_unavailable(failure.to_string()),
        // The client must look before it tries again.
        Failure::OutcomeUnknown(_) => StatusError::timeout(failure, 1),
        other => StatusError::internal(other),
    }
}

/// The revision of an object as text.
pub(crate) fn with_revision(mut object: Value, revision: i64) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
    }
    object
}

/// Takes the revision out of an object: it is not stored.
pub(crate) fn take_revision(object: &mut Value) -> Option<String> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    match metadata.remove("resourceVersion")? {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// A revision that a client names. 0 and none are none.
pub(crate) fn parse_revision(text: &str) -> Result<Option<i64>, StatusError> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    match text.parse::<u64>().ok().and_then(|n| i64::try_from(n).ok()) {
        Some(revision) => Ok(Some(revision)),
        None => Err(StatusError::bad_request(format!(
            "resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"
        ))),
    }
}

/// The same in a query of a get or a watch, where upstream does not make a bad request of it.
pub(crate) fn read_revision(text: &str) -> Result<Option<i64>, StatusError> {
    parse_revision(text).map_err(|e| StatusError::new(500, Reason::Unknown, e.message))
}

/// The same in an object that is written.
pub(crate) fn written_revision(text: &str) -> Result<Option<i64>, StatusError> {
    read_revision(text).map_err(|mut e| {
        let bare = e.message.find("strconv.").unwrap_or(0);
        e.message.drain(..bare);
        e
    })
}

/// Moves a member of `metadata` from one object to another, or removes it there.
pub(crate) fn carry_meta(new: &mut Value, old: &Value, field: &str) {
    let value = old["metadata"].get(field).cloned();
    let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    match value {
        Some(value) => metadata.insert(field.to_owned(), value),
        None => metadata.remove(field),
    };
}

/// The time this many seconds from now.
pub(crate) fn after(seconds: i64) -> meta::Instant {
    meta::Instant {
        seconds: crate::identity::seconds().saturating_add(seconds),
        nanos: 0,
    }
}
