//! Failures known by their HTTP code only.

use super::details::{Cause, Details, cause_type};
use super::error::StatusError;
use super::object::GroupResource;
use super::reason::Reason;
use crate::gofmt::quote;

impl StatusError {
    /// The failure that stands for an HTTP status code where nothing more is known (`NewGenericServerResponse`).
    /// `server_message` is what the server said; `unexpected` adds it as a cause.
    pub fn from_http_code(
        code: u16,
        verb: &str,
        resource: GroupResource<'_>,
        name: &str,
        server_message: &str,
        unexpected: bool,
    ) -> StatusError {
        let (reason, mut message) = reason_and_message(code, verb, server_message);
        let verb = verb.to_lowercase();
        if !resource.is_empty() && !name.is_empty() {
            message = format!("{message} ({verb} {resource} {name})");
        } else if !resource.is_empty() {
            message = format!("{message} ({verb} {resource})");
        }
        let error = StatusError::new(code, reason, message).with_details(Details {
            name: name.to_owned(),
            group: resource.group.to_owned(),
            kind: resource.resource.to_owned(),
            ..Details::default()
        });
        if !unexpected {
            return error;
        }
        error.with_cause(Cause {
            reason: cause_type::UNEXPECTED_SERVER_RESPONSE.to_owned(),
            message: server_message.to_owned(),
            field: String::new(),
        })
    }
}

fn reason_and_message(code: u16, verb: &str, server_message: &str) -> (Reason, String) {
    let (reason, message) = match code {
        409 if verb == "POST" => (Reason::AlreadyExists, "the server reported a conflict"),
        409 => (Reason::Conflict, "the server reported a conflict"),
        404 => (
            Reason::NotFound,
            "the server could not find the requested resource",
        ),
        400 => (
            Reason::BadRequest,
            "the server rejected our request for an unknown reason",
        ),
        401 => (
            Reason::Unauthorized,
            "the server has asked for the client to provide credentials",
        ),
        403 => (Reason::Forbidden, server_message),
        406 if server_message.is_empty() || server_message == "unknown" => (
            Reason::NotAcceptable,
            "the server was unable to respond with a content type that the client supports",
        ),
        406 => (Reason::NotAcceptable, server_message),
        415 => (Reason::UnsupportedMediaType, server_message),
        405 => (
            Reason::MethodNotAllowed,
            "the server does not allow this method on the requested resource",
        ),
        422 => (
            Reason::Invalid,
            "the server rejected our request due to an error in our request",
        ),
        503 => (
            Reason::ServiceUnavailable,
            "the server is currently unable to handle the request",
        ),
        504 => (
            Reason::Timeout,
            "the server was unable to return a response in the time allotted, but may still be processing the request",
        ),
        429 => (
            Reason::TooManyRequests,
            "the server has received too many requests and has asked us to try again later",
        ),
        500.. => {
            let message = format!(
                "an error on the server ({}) has prevented the request from succeeding",
                quote(server_message)
            );
            return (Reason::InternalError, message);
        }
        _ => {
            let message = format!(
                "the server responded with the status code {code} but did not return more information"
            );
            return (Reason::Unknown, message);
        }
    };
    (reason, message.to_owned())
}
