//! Answers in the form the client asked for.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use mainstay_machinery::meta;
use mainstay_machinery::status::StatusError;
use serde::{Serialize, Serializer};
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

/// An answer without a body.
pub(crate) fn whole_empty(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::new()));
    *response.status_mut() = code;
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

/// The order in which Go prints the fields of a type, where people read them: other answers are sorted by name.
#[derive(Debug)]
pub(crate) struct Order {
    fields: &'static [&'static str],
    /// Orders of the fields that hold objects, or lists of them.
    inside: &'static [(&'static str, &'static Order)],
}

/// `version.Info`.
pub(crate) static VERSION: Order = Order {
    fields: &[
        "major",
        "minor",
        "emulationMajor",
        "emulationMinor",
        "minCompatibilityMajor",
        "minCompatibilityMinor",
        "gitVersion",
        "gitCommit",
        "gitTreeState",
        "buildDate",
        "goVersion",
        "compiler",
        "platform",
    ],
    inside: &[],
};

/// `metav1.Status`.
static STATUS: Order = Order {
    fields: &[
        "kind",
        "apiVersion",
        "metadata",
        "status",
        "message",
        "reason",
        "details",
        "code",
    ],
    inside: &[("details", &DETAILS)],
};

static DETAILS: Order = Order {
    fields: &[
        "name",
        "group",
        "kind",
        "uid",
        "causes",
        "retryAfterSeconds",
    ],
    inside: &[("causes", &CAUSE)],
};

static CAUSE: Order = Order {
    fields: &["reason", "message", "field"],
    inside: &[],
};

/// A value whose fields come in an order; those that it does not name come last.
struct Ordered<'a>(&'a Value, Option<&'static Order>);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0, self.1) {
            (Value::Object(map), Some(order)) => {
                let place = |key: &str| {
                    let at = order.fields.iter().position(|field| *field == key);
                    at.unwrap_or(order.fields.len())
                };
                let mut fields: Vec<(&String, &Value)> = map.iter().collect();
                fields.sort_by_key(|(key, _)| place(key));
                let inside = |key: &str| {
                    let found = order.inside.iter().find(|(field, _)| *field == key);
                    found.map(|(_, order)| *order)
                };
                let fields = fields.into_iter();
                serializer
                    .collect_map(fields.map(|(key, value)| (key, Ordered(value, inside(key)))))
            }
            (Value::Array(items), Some(_)) => {
                serializer.collect_seq(items.iter().map(|item| Ordered(item, self.1)))
            }
            (value, _) => value.serialize(serializer),
        }
    }
}

/// A value as JSON in an order, or as YAML.
pub(crate) fn ordered(
    code: StatusCode,
    shown: &Value,
    order: &'static Order,
    accepted: Accepted,
) -> Response<Body> {
    if accepted.encoding == Encoding::Yaml {
        return value(code, shown, accepted);
    }
    let shown = Ordered(shown, Some(order));
    let text = match accepted.pretty {
        true => serde_json::to_vec_pretty(&shown),
        false => serde_json::to_vec(&shown),
    };
    json_bytes(code, text.expect("a value of JSON has only text keys"))
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

/// A table, which has no protobuf form, in the version that was asked for.
pub(crate) fn meta(code: StatusCode, mut table: Value, accepted: Accepted) -> Response<Body> {
    if accepted.beta {
        make_beta(&mut table);
    }
    value(code, &table, accepted)
}

/// Metadata of objects in the version that was asked for.
pub(crate) fn partial(code: StatusCode, mut partial: Value, accepted: Accepted) -> Answer {
    if accepted.beta {
        make_beta(&mut partial);
        // The older version has no protobuf form here.
        return Ok(value(code, &partial, accepted));
    }
    object(code, &partial, accepted)
}

/// Tables and metadata were the same in `v1beta1`.
fn make_beta(shown: &mut Value) {
    let of_meta = |shown: &Value| shown["apiVersion"] == "meta.k8s.io/v1";
    let beta = || Value::from("meta.k8s.io/v1beta1");
    if of_meta(shown) {
        shown["apiVersion"] = beta();
    }
    for list in ["rows", "items"] {
        let items = shown.get_mut(list).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten() {
            let object = match list {
                "rows" => item.get_mut("object"),
                _ => Some(item),
            };
            if let Some(object) = object.filter(|object| of_meta(object)) {
                object["apiVersion"] = beta();
            }
        }
    }
}

/// A failure as a Status.
pub(crate) fn failure(error: &StatusError, accepted: Accepted) -> Response<Body> {
    let code = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let status = error.to_value();
    let mut response = match accepted.encoding {
        Encoding::Json => ordered(code, &status, &STATUS, accepted),
        _ => object(code, &status, accepted)
            .unwrap_or_else(|_| ordered(code, &status, &STATUS, Accepted::JSON)),
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn failures_began_with_their_details() {
        let status = json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": 404, "message": "m",
            "reason": "NotFound",
            "details": {"kind": "pods", "name": "p", "causes": [{"field": "f", "message": "n", "reason": "r"}]},
        });
        let text = serde_json::to_string(&Ordered(&status, Some(&STATUS))).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"m","reason":"NotFound","details":{"name":"p","kind":"pods","causes":[{"reason":"r","message":"n","field":"f"}]},"code":404}"#
        );
    }
}
