//! What becomes of one secret; pure.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

const TYPE: &str = "kubernetes.io/service-account-token";
const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
pub(super) const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// Its token is no longer to be accepted.
    Close,
    Delete,
}

/// Days are those of UTC: tokens are labelled with the day of their use.
pub(super) fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// This long ago.
pub(super) fn before(now: Timestamp, period: Duration) -> Timestamp {
    let period = SignedDuration::try_from(period).unwrap_or(SignedDuration::MAX);
    now.checked_sub(period).unwrap_or(Timestamp::MIN)
}

/// `account` is the one that the secret names; `mounted` are the secrets that pods of the namespace refer to.
pub(super) fn judge(
    secret: &Secret,
    account: Option<&ServiceAccount>,
    mounted: &BTreeSet<String>,
    now: Timestamp,
    period: Duration,
) -> Verdict {
    let meta = &secret.metadata;
    let since = before(now, period);
    let created = meta.creation_timestamp.as_ref();
    let is_old = created.is_some_and(|created| created.0 < since);
    if secret.type_.as_deref() != Some(TYPE) || meta.deletion_timestamp.is_some() || !is_old {
        return Verdict::Keep;
    }
    let label = |name: &str| Some(meta.labels.as_ref()?.get(name)?.as_str());
    if let Some(used) = label(LAST_USED) {
        match used.parse::<Date>() {
            Ok(used) if used < day(since) => {}
            // Used lately, or at a time that cannot be read.
            _ => return Verdict::Keep,
        }
    }
    let name = meta.name.as_deref().unwrap_or_default();
    // Made by hand, if the account does not name it.
    let made = account.is_some_and(|account| {
        let mut secrets = account.secrets.iter().flatten();
        secrets.any(|reference| reference.name.as_deref() == Some(name))
    });
    if !made || mounted.contains(name) {
        return Verdict::Keep;
    }
    match label(INVALID_SINCE).and_then(|since| since.parse::<Date>().ok()) {
        None => Verdict::Close,
        Some(closed) if closed >= day(since) => Verdict::Keep,
        Some(_) => Verdict::Delete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_nobody_uses_is_closed_and_goes_after_as_long_again() {
        let account = json!({"metadata": {"name": "a"}, "secrets": [{"name": "s"}]});
        let account: ServiceAccount = serde_json::from_value(account).expect("an account");
        let now = "2026-06-01T00:00:00Z".parse().expect("a time");
        let period = Duration::from_secs(30 * 86_400);
        for (name, created, labels, verdict) in [
            ("s", "2026-01-01", json!({}), Verdict::Close),
            ("s", "2026-05-20", json!({}), Verdict::Keep),
            ("by-hand", "2026-01-01", json!({}), Verdict::Keep),
            ("mounted", "2026-01-01", json!({}), Verdict::Keep),
            (
                "s",
                "2026-01-01",
                json!({LAST_USED: "2026-05-02"}),
                Verdict::Keep,
            ),
            (
                "s",
                "2026-01-01",
                json!({LAST_USED: "2026-05-01"}),
                Verdict::Close,
            ),
            (
                "s",
                "2026-01-01",
                json!({LAST_USED: "lately"}),
                Verdict::Keep,
            ),
            (
                "s",
                "2026-01-01",
                json!({INVALID_SINCE: "2026-05-02"}),
                Verdict::Keep,
            ),
            (
                "s",
                "2026-01-01",
                json!({INVALID_SINCE: "2026-05-01"}),
                Verdict::Delete,
            ),
            (
                "s",
                "2026-01-01",
                json!({INVALID_SINCE: "nonsense"}),
                Verdict::Close,
            ),
        ] {
            let secret = json!({
                "metadata": {
                    "name": name, "labels": labels, "creationTimestamp": format!("{created}T00:00:00Z"),
                },
                "type": TYPE,
            });
            let parsed: Secret = serde_json::from_value(secret.clone()).expect("a secret");
            let mut account = account.clone();
            let mounted = BTreeSet::from(["mounted".to_owned()]);
            if name == "mounted" {
                account.secrets.get_or_insert_default()[0].name = Some(name.to_owned());
            }
            let told = judge(&parsed, Some(&account), &mounted, now, period);
            assert_eq!(told, verdict, "{secret}");
            assert_eq!(judge(&parsed, None, &mounted, now, period), Verdict::Keep);
        }
    }
}
