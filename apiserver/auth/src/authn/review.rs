//! TokenReview and SelfSubjectReview.

use serde_json::{Map, Value, json};

use super::request::{Authenticated, AuthnError};
use super::time::rfc3339;
use crate::rbac::strings;
use crate::user::UserInfo;

/// Answers a `TokenReview`: the request with its status filled in. `authenticate` gets the token and the
/// audiences asked for, which are `api_audiences` if the request names none.
///
/// # Errors
/// The message of a 400 Status if the request has no token.
pub fn token_review(
    request: &Value,
    api_audiences: &[String],
    authenticate: impl FnOnce(&str, &[String]) -> Result<Authenticated, AuthnError>,
) -> Result<Value, String> {
    let token = request
        .pointer("/spec/token")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if token.is_empty() {
        return Err("token is required for TokenReview in authentication".to_owned());
    }
    let mut audiences = strings(request.pointer("/spec/audiences"));
    if audiences.is_empty() {
        audiences = api_audiences.to_vec();
    }
    let mut status = Map::new();
    match authenticate(token, &audiences) {
        Ok(found) => {
            let user = found.user.with_authenticated_group();
            status.insert("authenticated".to_owned(), json!(true));
            status.insert("user".to_owned(), user.to_value());
            if !found.audiences.is_empty() {
                status.insert("audiences".to_owned(), json!(found.audiences));
            }
        }
        Err(error) => {
            status.insert("user".to_owned(), json!({}));
            status.insert("error".to_owned(), json!(error.to_string()));
        }
    }
    let mut review = request.clone();
    review["status"] = Value::Object(status);
    Ok(review)
}

/// Answers a `SelfSubjectReview`. `now` is in seconds since 1970.
pub fn self_subject_review(request: &Value, user: &UserInfo, now: i64) -> Value {
    let api_version = request
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or("authentication.k8s.io/v1");
    json!({
        "apiVersion": api_version,
        "kind": "SelfSubjectReview",
        "metadata": {"creationTimestamp": rfc3339(now)},
        "status": {"userInfo": user.to_value()},
    })
}
