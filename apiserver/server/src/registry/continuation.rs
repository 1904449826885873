//! Tokens with which a list goes on where a page of it ended.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_machinery::decode::json_lenient;
use mainstay_machinery::status::StatusError;
use serde_json::json;

/// The format, named as upstream names it.
const VERSION: &str = "meta.k8s.io/v1";

/// Where the next page begins.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Continue {
    v: String,
    /// The revision of the list; below 0 for one that goes on at the newest.
    pub(super) rv: i64,
    /// What of the last key follows the resource's prefix.
    pub(super) start: String,
}

impl Continue {
    /// The revision of a list that goes on at the newest one: its pages do not show one moment.
    pub(super) const NOW: i64 = -1;

    pub(super) fn encode(revision: i64, start: &str) -> String {
        let token = json!({ "v": VERSION, "rv": revision, "start": start });
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    pub(super) fn decode(token: &str) -> Result<Self, StatusError> {
        let refused = |why: &str| {
            StatusError::bad_request(format!(
                "invalid continue token: continue key is not valid: {why}"
            ))
        };
        let bytes = URL_SAFE_NO_PAD
            .decode(token.trim_end_matches('='))
            .map_err(|e| refused(&e.to_string()))?;
        let decoded = json_lenient(&bytes).map_err(|e| refused(&e.to_string()))?;
        let decoded: Self = serde_json::from_value(decoded).map_err(|e| refused(&e.to_string()))?;
        if decoded.v != VERSION {
            return Err(refused("server does not recognize this encoded version"));
        }
        if decoded.rv == 0 {
            let why = "incorrect encoded start resourceVersion (version meta.k8s.io/v1)";
            return Err(refused(why));
        }
        if decoded.start.is_empty() {
            let why = "encoded start key empty (version meta.k8s.io/v1)";
            return Err(refused(why));
        }
        Ok(decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_where_and_when() {
        for revision in [1, i64::MAX, Continue::NOW] {
            let token = Continue::decode(&Continue::encode(revision, "ns/name")).unwrap();
            assert_eq!((token.rv, token.start.as_str()), (revision, "ns/name"));
        }
    }

    #[test]
    fn what_is_no_token_is_refused_in_upstreams_words() {
        let of = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let cases = [
            (
                of(json!({ "v": "v2", "rv": 1, "start": "a" })),
                "server does not recognize this encoded version",
            ),
            (
                of(json!({ "v": VERSION, "rv": 0, "start": "a" })),
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ),
            (
                of(json!({ "v": VERSION, "rv": 1, "start": "" })),
                "encoded start key empty (version meta.k8s.io/v1)",
            ),
            ("%".to_owned(), "Invalid"),
        ];
        for (token, why) in cases {
            let refused = Continue::decode(&token).unwrap_err();
            assert_eq!(refused.code, 400);
            let start = "invalid continue token: continue key is not valid: ";
            let said = refused.message.strip_prefix(start).unwrap();
            assert!(said.starts_with(why), "{said}");
        }
    }
}
