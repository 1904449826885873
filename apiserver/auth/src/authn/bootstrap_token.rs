//! Bootstrap tokens: `abcdef.0123456789abcdef`, kept in secrets of kube-system, for nodes that join.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::same_bytes;
use super::time::parse_rfc3339;
use crate::user::UserInfo;

/// The namespace of the secrets.
pub const BOOTSTRAP_TOKEN_NAMESPACE: &str = "kube-system";
const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
const DEFAULT_GROUP: &str = "system:bootstrappers";
const EXTRA_GROUP_LENGTH_MAX: usize = 256;

/// The name of the secret that a token must match; `None` if it is not a bootstrap token.
pub fn bootstrap_secret_name(token: &str) -> Option<String> {
    parse(token).map(|(id, _)| format!("bootstrap-token-{id}"))
}

/// The user of a bootstrap token, given the stored secret of [`bootstrap_secret_name`]. `now` is in seconds
/// since 1970. Every mismatch is `None`: which one it was is nobody's business.
pub fn authenticate_bootstrap_token(token: &str, secret: &Value, now: i64) -> Option<UserInfo> {
    let (id, expected) = parse(token)?;
    let data = |key: &str| -> Option<Vec<u8>> {
        STANDARD
            .decode(secret.get("data")?.get(key)?.as_str()?)
            .ok()
            .filter(|value| !value.is_empty())
    };
    let text = |key: &str| data(key).and_then(|value| String::from_utf8(value).ok());
    let deleted = secret
        .pointer("/metadata/deletionTimestamp")
        .is_some_and(|time| !time.is_null());
    let is_token = secret.get("type").and_then(Value::as_str) == Some(SECRET_TYPE);
    if deleted || !is_token || !same_bytes(&data("token-secret")?, expected.as_bytes()) {
        return None;
    }
    if text("token-id")? != id || text("usage-bootstrap-authentication").as_deref() != Some("true")
    {
        return None;
    }
    if let Some(expiration) = data("expiration") {
        let expires = parse_rfc3339(std::str::from_utf8(&expiration).ok()?)?;
        if expires <= now {
            return None;
        }
    }
    let mut groups = vec![DEFAULT_GROUP.to_owned()];
    if let Some(extra) = data("auth-extra-groups") {
        for group in std::str::from_utf8(&extra).ok()?.split(',') {
            if !is_extra_group(group) {
                return None;
            }
            groups.push(group.to_owned());
        }
    }
    groups.sort_unstable();
    groups.dedup();
    Some(UserInfo {
        username: format!("system:bootstrap:{id}"),
        groups,
        ..UserInfo::default()
    })
}

/// Id and secret.
fn parse(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let valid = |part: &str, length: usize| part.len() == length && part.bytes().all(is_token_byte);
    (valid(id, 6) && valid(secret, 16)).then_some((id, secret))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// `system:bootstrappers:` and up to 256 of `a-z0-9:-`, the last a letter or digit.
fn is_extra_group(group: &str) -> bool {
    let Some(rest) = group.strip_prefix("system:bootstrappers:") else {
        return false;
    };
    rest.len() <= EXTRA_GROUP_LENGTH_MAX
        && rest
            .bytes()
            .all(|byte| is_token_byte(byte) || matches!(byte, b':' | b'-'))
        && rest.bytes().last().is_some_and(is_token_byte)
}
