//! A failed request, with one constructor for each way to fail.

use super::details::{Cause, Details, put, text};
use super::messages;
use super::object::{GroupKind, GroupResource};
use super::reason::Reason;
use crate::field::ErrorList;
use crate::gofmt::quote;
use serde_json::{Map, Value};
use std::fmt;

/// A failed request: what a handler returns and a client reads as `metav1.Status`.
///
/// The constructors are those of apimachinery's errors package, with its texts: clients match on them.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusError {
    /// The HTTP status code.
    pub code: u16,
    /// The reason for machines.
    pub reason: Reason,
    /// The reason for people.
    pub message: String,
    /// More for machines.
    pub details: Option<Box<Details>>,
    /// For a list that failed: the token to go on with (`metadata.continue`).
    pub continue_token: Option<Box<str>>,
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StatusError {}

impl StatusError {
    /// A failure without details.
    pub fn new(code: u16, reason: Reason, message: impl Into<String>) -> StatusError {
        StatusError {
            code,
            reason,
            message: message.into(),
            details: None,
            continue_token: None,
        }
    }

    pub(super) fn with_details(mut self, details: Details) -> StatusError {
        self.details = Some(Box::new(details));
        self
    }

    fn about(self, resource: GroupResource<'_>, name: &str) -> StatusError {
        self.with_details(Details {
            name: name.to_owned(),
            group: resource.group.to_owned(),
            kind: resource.resource.to_owned(),
            ..Details::default()
        })
    }

    /// Adds a cause.
    pub fn with_cause(mut self, cause: Cause) -> StatusError {
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// Sets after how many seconds a client may try again.
    pub fn with_retry_after(mut self, seconds: u32) -> StatusError {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// Seconds after which the client may try again, for the Retry-After header.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        let seconds = self.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then_some(seconds)
    }

    /// 404: `pods "x" not found`.
    pub fn not_found(resource: GroupResource<'_>, name: &str) -> StatusError {
        let message = format!("{resource} {} not found", quote(name));
        StatusError::new(404, Reason::NotFound, message).about(resource, name)
    }

    /// 409: `pods "x" already exists`.
    pub fn already_exists(resource: GroupResource<'_>, name: &str) -> StatusError {
        let message = format!("{resource} {} already exists", quote(name));
        StatusError::new(409, Reason::AlreadyExists, message).about(resource, name)
    }

    /// 409: a generated name was taken; the client may try again at once.
    pub fn generate_name_conflict(
        resource: GroupResource<'_>,
        name: &str,
        retry_after_seconds: u32,
    ) -> StatusError {
        let message = format!(
            "{resource} {} already exists, the server was not able to generate a unique name for the object",
            quote(name)
        );
        StatusError::new(409, Reason::AlreadyExists, message)
            .about(resource, name)
            .with_retry_after(retry_after_seconds)
    }

    /// 401. An empty reason says `not authorized`; the apiserver's own answer is `Unauthorized`.
    pub fn unauthorized(reason: &str) -> StatusError {
        let message = if reason.is_empty() {
            "not authorized"
        } else {
            reason
        };
        StatusError::new(401, Reason::Unauthorized, message)
    }

    /// 403: `pods "x" is forbidden: WHY`. An empty name or resource is left out.
    pub fn forbidden(
        resource: GroupResource<'_>,
        name: &str,
        why: impl fmt::Display,
    ) -> StatusError {
        let message = if resource.is_empty() {
            format!("forbidden: {why}")
        } else if name.is_empty() {
            format!("{resource} is forbidden: {why}")
        } else {
            format!("{resource} {} is forbidden: {why}", quote(name))
        };
        StatusError::new(403, Reason::Forbidden, message).about(resource, name)
    }

    /// 409: `Operation cannot be fulfilled on pods "x": WHY`.
    pub fn conflict(
        resource: GroupResource<'_>,
        name: &str,
        why: impl fmt::Display,
    ) -> StatusError {
        let message = format!(
            "Operation cannot be fulfilled on {resource} {}: {why}",
            quote(name)
        );
        StatusError::new(409, Reason::Conflict, message).about(resource, name)
    }

    /// 409: the object changed since the client read it.
    pub fn modified(resource: GroupResource<'_>, name: &str) -> StatusError {
        StatusError::conflict(resource, name, messages::OPTIMISTIC_LOCK)
    }

    /// 410: gone for good.
    pub fn gone(message: impl Into<String>) -> StatusError {
        StatusError::new(410, Reason::Gone, message)
    }

    /// 410: the resource version or continue token is too old; list again.
    pub fn expired(message: impl Into<String>) -> StatusError {
        StatusError::new(410, Reason::Expired, message)
    }

    /// 422: the object breaks rules, each named in a cause.
    pub fn invalid(kind: GroupKind<'_>, name: &str, errors: &ErrorList) -> StatusError {
        let mut message = format!("{kind} {} is invalid", quote(name));
        if !errors.is_empty() {
            message = format!("{message}: {errors}");
        }
        StatusError::new(422, Reason::Invalid, message).with_details(Details {
            name: name.to_owned(),
            group: kind.group.to_owned(),
            kind: kind.kind.to_owned(),
            causes: errors.iter().map(Cause::from).collect(),
            ..Details::default()
        })
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> StatusError {
        StatusError::new(400, Reason::BadRequest, message)
    }

    /// 429 with the message as it is.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> StatusError {
        StatusError::new(429, Reason::TooManyRequests, message)
            .with_retry_after(retry_after_seconds)
    }

    /// 503.
    pub fn service_unavailable(message: impl Into<String>) -> StatusError {
        StatusError::new(503, Reason::ServiceUnavailable, message)
    }

    /// 405, where upstream has no route for a method: nothing is known of the resource then.
    pub fn method_not_allowed() -> StatusError {
        let message = "the server does not allow this method on the requested resource";
        let mut status = StatusError::new(405, Reason::MethodNotAllowed, message);
        status.details = Some(Default::default());
        status
    }

    /// 405: `delete is not supported on resources of kind "bindings"`.
    pub fn method_not_supported(resource: GroupResource<'_>, action: &str) -> StatusError {
        let message = format!(
            "{action} is not supported on resources of kind {}",
            quote(&resource.to_string())
        );
        StatusError::new(405, Reason::MethodNotAllowed, message).about(resource, "")
    }

    /// 500 with reason ServerTimeout: a retry may help.
    pub fn server_timeout(
        resource: GroupResource<'_>,
        operation: &str,
        retry_after_seconds: u32,
    ) -> StatusError {
        let message = format!(
            "The {operation} operation against {resource} could not be completed at this time, please try again."
        );
        StatusError::new(500, Reason::ServerTimeout, message)
            .about(resource, operation)
            .with_retry_after(retry_after_seconds)
    }

    /// 500: `Internal error occurred: WHY`.
    pub fn internal(why: impl fmt::Display) -> StatusError {
        let why = why.to_string();
        StatusError::new(
            500,
            Reason::InternalError,
            format!("Internal error occurred: {why}"),
        )
        .with_cause(Cause {
            message: why,
            ..Cause::default()
        })
    }

    /// 504: `Timeout: WHY`.
    pub fn timeout(why: impl fmt::Display, retry_after_seconds: u32) -> StatusError {
        StatusError::new(504, Reason::Timeout, format!("Timeout: {why}"))
            .with_retry_after(retry_after_seconds)
    }

    /// 413: `Request entity too large: WHY`.
    pub fn request_entity_too_large(why: impl fmt::Display) -> StatusError {
        let message = format!("Request entity too large: {why}");
        StatusError::new(413, Reason::RequestEntityTooLarge, message)
    }

    /// 415: the body's media type is none of `accepted`.
    pub fn unsupported_media_type(accepted: &[&str]) -> StatusError {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        StatusError::new(415, Reason::UnsupportedMediaType, message)
    }

    /// 406: the client accepts none of `accepted`.
    pub fn not_acceptable(accepted: &[&str]) -> StatusError {
        let message = format!(
            "only the following media types are accepted: {}",
            accepted.join(", ")
        );
        StatusError::new(406, Reason::NotAcceptable, message)
    }

    /// 406: the form asked for (such as `meta.k8s.io/v1, Kind=Table`) is served in `accepted` only.
    pub fn not_acceptable_conversion(target: &str, accepted: &[&str]) -> StatusError {
        let message = format!(
            "only the following media types are accepted when converting to {target}: {}",
            accepted.join(", ")
        );
        StatusError::new(406, Reason::NotAcceptable, message)
    }

    /// The object on the wire.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        put(&mut map, "kind", "Status");
        put(&mut map, "apiVersion", "v1");
        let mut metadata = Map::new();
        put(
            &mut metadata,
            "continue",
            self.continue_token.as_deref().unwrap_or_default(),
        );
        map.insert("metadata".to_owned(), Value::Object(metadata));
        put(&mut map, "status", "Failure");
        put(&mut map, "message", &self.message);
        put(&mut map, "reason", self.reason.as_str());
        if let Some(details) = &self.details {
            map.insert("details".to_owned(), details.to_value());
        }
        map.insert("code".to_owned(), self.code.into());
        Value::Object(map)
    }

    /// Reads what another server answered; None where the value is no `Status` failure.
    pub fn from_value(value: &Value) -> Option<StatusError> {
        if value["kind"] != "Status" || value["status"] == "Success" {
            return None;
        }
        let reason = value["reason"].as_str().unwrap_or_default();
        Some(StatusError {
            code: value["code"]
                .as_u64()
                .and_then(|c| u16::try_from(c).ok())
                .unwrap_or(500),
            reason: Reason::parse(reason),
            message: text(value, "message"),
            details: value
                .get("details")
                .map(|details| Box::new(Details::from_value(details))),
            continue_token: value["metadata"]["continue"].as_str().map(Box::from),
        })
    }
}
