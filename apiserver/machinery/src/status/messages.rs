//! Failures that several parts of the apiserver answer with the same words.

use super::details::{Cause, cause_type};
use super::error::StatusError;
use super::object::GroupResource;
use super::reason::Reason;
use crate::gofmt::quote;

/// Why an update with a stale resource version fails.
pub const OPTIMISTIC_LOCK: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

impl StatusError {
    /// 410: a watch asks for a version older than the cache holds. `oldest` is the oldest it could start from.
    pub fn too_old_resource_version(asked: u64, oldest: u64) -> StatusError {
        StatusError::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    /// 410: the store compacted the version a watch asks for.
    pub fn watch_compacted() -> StatusError {
        StatusError::expired("The resourceVersion for the provided watch is too old.")
    }

    /// 410: the store compacted the version a list asks for.
    pub fn list_compacted() -> StatusError {
        StatusError::expired("The resourceVersion for the provided list is too old.")
    }

    /// 410: the store compacted the version of a continue token. With it comes a token for the rest as it is now.
    pub fn continue_inconsistent(token: &str) -> StatusError {
        let mut error = StatusError::expired(
            "The provided continue parameter is too old to display a consistent list result. \
             You can start a new list without the continue parameter, or use the continue token in this response \
             to retrieve the remainder of the results. Continuing with the provided token results in an \
             inconsistent list - objects that were created, modified, or deleted between the time the first \
             chunk was returned and now may show up in the list.",
        );
        error.continue_token = Some(token.into());
        error
    }

    /// 504: the version asked for is in the future.
    pub fn too_large_resource_version(asked: u64, current: u64, retry_seconds: u32) -> StatusError {
        let why = format!("Too large resource version: {asked}, current: {current}");
        StatusError::timeout(why, retry_seconds).with_cause(Cause {
            reason: cause_type::RESOURCE_VERSION_TOO_LARGE.to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        })
    }

    /// 404 for a path that no resource serves.
    pub fn unknown_path() -> StatusError {
        let message = "the server could not find the requested resource";
        StatusError::new(404, Reason::NotFound, message).with_details(Default::default())
    }

    /// 409: a delete or update names a uid or version that the object does not have.
    pub fn precondition_failed(
        resource: GroupResource<'_>,
        name: &str,
        what: &str,
        expected: &str,
        actual: &str,
    ) -> StatusError {
        let why = format!(
            "Precondition failed: {what} in precondition: {expected}, {what} in object meta: {actual}"
        );
        StatusError::conflict(resource, name, why)
    }
}

/// Why the authorizer said no: `User "u" cannot get resource "pods" in API group "" in the namespace "ns"`.
/// An empty namespace says `at the cluster scope`. `resource` has the subresource after a slash.
pub fn forbidden_message(
    user: &str,
    verb: &str,
    resource: GroupResource<'_>,
    namespace: &str,
) -> String {
    let what = format!(
        "User {} cannot {verb} resource {} in API group {}",
        quote(user),
        quote(resource.resource),
        quote(resource.group)
    );
    if namespace.is_empty() {
        format!("{what} at the cluster scope")
    } else {
        format!("{what} in the namespace {}", quote(namespace))
    }
}
