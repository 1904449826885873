//! Answers in the form the client asked for.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use mainstay_machinery::meta;
use mainstay_machinery::status::StatusError;
use serde_json::Value;

use crate::body::Body;
use crate::request::{Accepted, Encoding};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const YAML: HeaderValue = HeaderValue::from_static("application/yaml");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/vnd.kubernetes.protobuf");

/// An answer, or the failure that is answered instead.
pub(crate) type Answer = Result<Response<Body>, StatusError>;

/// A whole body of one type.
pub(crate) fn whole(
    code: StatusCode,
    media: HeaderValue,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}

/// JSON that exists already.
pub(crate) fn json_bytes(code: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    whole(code, JSON, body)
}

pub(crate) fn text(code: StatusCode, body: impl Into<String>) -> Response<Body> {
    whole(code, TEXT, body.into())
}

/// What Go's HTTP library answers by itself.
pub(crate) fn plain(code: StatusCode, body: &str) -> Response<Body> {
    let mut response = text(code, format!("{body}\n"));
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// For a path that belongs to no group of the API.
pub(crate) fn page_not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "404 page not found")
}

/// A value that is no stored object, such as a discovery document or a status.
pub(crate) fn value(code: StatusCode, value: &Value, accepted: Accepted) -> Response<Body> {
    match accepted.encoding {
        Encoding::Yaml => whole(code, YAML, mainstay_machinery::encode::yaml(value)),
        // What has a protobuf form was encoded by who knows its kind.
        Encoding::Json | Encoding::Protobuf => {
            let text = match accepted.pretty {
                true => serde_json::to_vec_pretty(value),
                false => serde_json::to_vec(value),
            };
            json_bytes(code, text.expect("a value of JSON has only text keys"))
        }
    }
}

/// An object whose kind the tables know, in any encoding.
pub(crate) fn object(code: StatusCode, object: &Value, accepted: Accepted) -> Answer {
    if accepted.encoding == Encoding::Protobuf {
        let (group, version) = meta::split_api_version(meta::api_version(object));
        let known = mainstay_schema::schema().by_gvk(group, version, meta::kind(object));
        let gvk = known.and_then(|ty| {
            let all = &mainstay_schema::schema().get(ty).gvks;
            all.iter().find(|gvk| {
                gvk.group == group && gvk.version == version && gvk.kind == meta::kind(object)
            })
        });
        let Some(gvk) = gvk else {
            // Kinds without a protobuf form are answered as JSON, which clients accept beside it.
            return Ok(value(code, object, accepted));
        };
        let bytes = mainstay_schema::protobuf::encode(*gvk, object)
            .map_err(|e| StatusError::internal(format_args!("encoding the answer: {e}")))?;
        return Ok(whole(code, PROTOBUF, bytes));
    }
    Ok(value(code, object, accepted))
}

/// A failure as a Status.
pub(crate) fn failure(error: &StatusError, accepted: Accepted) -> Response<Body> {
    let code = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let status = error.to_value();
    let accepted = Accepted {
        pretty: false,
        ..accepted
    };
    let mut response =
        object(code, &status, accepted).unwrap_or_else(|_| value(code, &status, Accepted::JSON));
    if let Some(seconds) = error.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// Answers about a cluster's state are nobody's to keep.
pub(crate) fn not_cached(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, private"));
}
