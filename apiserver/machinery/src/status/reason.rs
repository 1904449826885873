//! Why a request failed, in one word.

use std::fmt;

/// The machine-readable reason of a failure (`metav1.StatusReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No reason known; left out on the wire.
    Unknown,
    /// Credentials are missing or bad (401).
    Unauthorized,
    /// The user may not do this, ever (403).
    Forbidden,
    /// There is no such object or resource (404).
    NotFound,
    /// The object exists (409).
    AlreadyExists,
    /// The object changed meanwhile (409).
    Conflict,
    /// The object is gone for good (410).
    Gone,
    /// The object breaks a rule (422).
    Invalid,
    /// The server could not finish in time, a retry may help (500).
    ServerTimeout,
    /// The store holds data that cannot be read (500).
    StorageReadError,
    /// The request took longer than allowed (504).
    Timeout,
    /// Too many requests, or an eviction that must wait (429).
    TooManyRequests,
    /// The request makes no sense (400).
    BadRequest,
    /// The resource does not have this verb (405).
    MethodNotAllowed,
    /// None of the accepted media types can be served (406).
    NotAcceptable,
    /// The body is too big (413).
    RequestEntityTooLarge,
    /// The body's media type is not known (415).
    UnsupportedMediaType,
    /// A fault of the server (500).
    InternalError,
    /// The resource version or the continue token is too old (410).
    Expired,
    /// The service is not there now (503).
    ServiceUnavailable,
}

impl Reason {
    /// The name on the wire; empty for [`Reason::Unknown`].
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Unknown => "",
            Reason::Unauthorized => "Unauthorized",
            Reason::Forbidden => "Forbidden",
            Reason::NotFound => "NotFound",
            Reason::AlreadyExists => "AlreadyExists",
            Reason::Conflict => "Conflict",
            Reason::Gone => "Gone",
            Reason::Invalid => "Invalid",
            Reason::ServerTimeout => "ServerTimeout",
            Reason::StorageReadError => "StorageReadError",
            Reason::Timeout => "Timeout",
            Reason::TooManyRequests => "TooManyRequests",
            Reason::BadRequest => "BadRequest",
            Reason::MethodNotAllowed => "MethodNotAllowed",
            Reason::NotAcceptable => "NotAcceptable",
            Reason::RequestEntityTooLarge => "RequestEntityTooLarge",
            Reason::UnsupportedMediaType => "UnsupportedMediaType",
            Reason::InternalError => "InternalError",
            Reason::Expired => "Expired",
            Reason::ServiceUnavailable => "ServiceUnavailable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Reason {
    /// The reason of this name; [`Reason::Unknown`] for names that are not known here.
    pub fn parse(name: &str) -> Reason {
        ALL.into_iter()
            .find(|reason| reason.as_str() == name)
            .unwrap_or(Reason::Unknown)
    }
}

const ALL: [Reason; 19] = [
    Reason::Unauthorized,
    Reason::Forbidden,
    Reason::NotFound,
    Reason::AlreadyExists,
    Reason::Conflict,
    Reason::Gone,
    Reason::Invalid,
    Reason::ServerTimeout,
    Reason::StorageReadError,
    Reason::Timeout,
    Reason::TooManyRequests,
    Reason::BadRequest,
    Reason::MethodNotAllowed,
    Reason::NotAcceptable,
    Reason::RequestEntityTooLarge,
    Reason::UnsupportedMediaType,
    Reason::InternalError,
    Reason::Expired,
    Reason::ServiceUnavailable,
];
