//! The secrets that are bootstrap tokens.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

pub(super) const NAMESPACE: &str = "kube-system";
const TYPE: &str = "bootstrap.kubernetes.io/token";
const PREFIX: &str = "bootstrap-token-";
const ID_LENGTH: usize = 6;

pub(super) fn is_token(secret: &Secret) -> bool {
    secret.type_.as_deref() == Some(TYPE) && secret.metadata.namespace.as_deref() == Some(NAMESPACE)
}

/// When a token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Never,
    In(Duration),
    /// It has, or says when in no way that can be read.
    Past,
}

pub(super) fn end(secret: &Secret, now: Timestamp) -> End {
    let Some(text) = field(secret, "expiration") else {
        return End::Never;
    };
    let Ok(end) = text.parse::<Timestamp>() else {
        return End::Past;
    };
    match Duration::try_from(end.duration_since(now)) {
        Ok(rest) if !rest.is_zero() => End::In(rest),
        _ => End::Past,
    }
}

/// Id and secret of a token that may sign now.
pub(super) fn signing(secret: &Secret, now: Timestamp) -> Option<(&str, &str)> {
    let name = secret.metadata.name.as_deref()?.strip_prefix(PREFIX)?;
    let is_id = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let id = field(secret, "token-id").filter(|id| *id == name)?;
    if id.len() != ID_LENGTH || !id.bytes().all(is_id) || end(secret, now) == End::Past {
        return None;
    }
    let usable = field(secret, "usage-bootstrap-signing") == Some("true");
    usable.then_some((id, field(secret, "token-secret")?))
}

/// `None` as well if it is empty or no text.
fn field<'a>(secret: &'a Secret, name: &str) -> Option<&'a str> {
    let value = secret.data.as_ref()?.get(name)?;
    let text = std::str::from_utf8(&value.0).ok()?;
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn token(name: &str, fields: &[(&str, &str)]) -> Secret {
        let mut secret: Secret = serde_json::from_value(
            json!({"metadata": {"name": name, "namespace": NAMESPACE}, "type": TYPE}),
        )
        .expect("a secret");
        let bytes = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
        let data = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), bytes(value)));
        secret.data = Some(data.collect());
        secret
    }

    #[test]
    fn a_token_signs_under_its_own_name_in_its_time_and_if_it_is_meant_to() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let (id, own) = (("token-id", "abcdef"), ("token-secret", "secret"));
        let signs = ("usage-bootstrap-signing", "true");
        for (name, fields, may) in [
            ("bootstrap-token-abcdef", vec![id, own, signs], true),
            ("bootstrap-token-abcdef", vec![id, own], false),
            ("bootstrap-token-abcdef", vec![id, signs], false),
            ("bootstrap-token-ghijkl", vec![id, own, signs], false),
            ("abcdef", vec![id, own, signs], false),
            (
                "bootstrap-token-ABCDEF",
                vec![("token-id", "ABCDEF"), own, signs],
                false,
            ),
            (
                "bootstrap-token-abcdef",
                vec![id, own, signs, ("expiration", "2026-01-01T00:00:00Z")],
                false,
            ),
            (
                "bootstrap-token-abcdef",
                vec![id, own, signs, ("expiration", "2026-01-01T01:00:01+01:00")],
                true,
            ),
        ] {
            let secret = token(name, &fields);
            assert_eq!(signing(&secret, now).is_some(), may, "{name} {fields:?}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_read_is_past() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        for (expiration, expected) in [
            ("", End::Never),
            ("soon", End::Past),
            ("2025-12-31T23:59:59Z", End::Past),
            ("2026-01-01T00:01:00Z", End::In(Duration::from_secs(60))),
        ] {
            let secret = token("t", &[("expiration", expiration)]);
            assert_eq!(end(&secret, now), expected, "{expiration}");
        }
    }
}
