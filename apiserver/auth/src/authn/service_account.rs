//! Service account tokens: who they are for, and whether what they are bound to still exists.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use super::claims::{Claims, Ref};
use super::jws;
use super::key::KeySet;
use super::request::{Authenticated, AuthnError};
use super::time::parse_rfc3339;
use crate::limits::{TOKEN_LEEWAY_SECONDS, VERIFIED_TOKENS_MAX};
use crate::text::{quoted, quoted_list};
use crate::user::{
    CREDENTIAL_ID_KEY, UserInfo, service_account_groups, service_account_username,
    split_service_account,
};

/// The issuer of tokens that are stored in secrets and never expire.
pub const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
const INVALID_SINCE_LABEL: &str = "kubernetes.io/legacy-token-invalid-since";
const EXTRA_PREFIX: &str = "authentication.kubernetes.io/";

/// A kind of object that a token may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundKind {
    /// The service account itself.
    ServiceAccount,
    /// A pod in its namespace.
    Pod,
    /// A secret in its namespace.
    Secret,
    /// A node (asked for with an empty namespace).
    Node,
}

/// What a look-up found, reduced to what matters for a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The uid.
    pub uid: String,
    /// When it was (or will be) deleted, in seconds since 1970.
    pub deleted_at: Option<i64>,
    /// The token a secret holds.
    pub token: Option<Vec<u8>>,
    /// True if a label says that the secret's token is no longer valid.
    pub invalidated: bool,
}

impl Found {
    /// Reduces a stored object.
    pub fn from_value(object: &Value) -> Found {
        use base64::Engine as _;
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let decode = |token: &str| base64::engine::general_purpose::STANDARD.decode(token).ok();
        Found {
            uid: text("/metadata/uid").unwrap_or_default().to_owned(),
            deleted_at: text("/metadata/deletionTimestamp").and_then(parse_rfc3339),
            token: text("/data/token").and_then(decode),
            invalidated: object
                .pointer("/metadata/labels")
                .and_then(|labels| labels.get(INVALID_SINCE_LABEL))
                .and_then(Value::as_str)
                .is_some_and(|since| !since.is_empty()),
        }
    }
}

/// Finds an object by kind, namespace and name.
pub type Lookup<'a> = dyn Fn(BoundKind, &str, &str) -> Option<Found> + 'a;

/// Verifies service account tokens.
#[derive(Debug)]
pub struct ServiceAccountTokens {
    issuers: Vec<String>,
    keys: KeySet,
    api_audiences: Vec<String>,
    /// Tokens whose signature was checked before. Everything else is checked anew each time.
    verified: Mutex<HashMap<[u8; 32], Arc<Value>>>,
}

impl ServiceAccountTokens {
    /// Accepts tokens of these issuers signed by one of the keys. A token whose caller asks for no audience
    /// must be for one of `api_audiences`.
    pub fn new(issuers: &[&str], keys: KeySet, api_audiences: &[&str]) -> ServiceAccountTokens {
        let owned = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        ServiceAccountTokens {
            issuers: owned(issuers),
            keys,
            api_audiences: owned(api_audiences),
            verified: Mutex::default(),
        }
    }

    /// The audiences of this apiserver.
    pub fn api_audiences(&self) -> &[String] {
        &self.api_audiences
    }

    /// The user of a token; `None` if it is not one of these tokens at all. `audiences` are those the caller
    /// asks for, empty for this apiserver's own. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// If it is one of these tokens but not valid.
    pub fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        now: i64,
        lookup: &Lookup<'_>,
    ) -> Result<Option<Authenticated>, AuthnError> {
        let Some(payload) = self.verified_payload(token)? else {
            return Ok(None);
        };
        let claims = Claims::from_payload(&payload);
        let matching = self.matching_audiences(&claims, audiences)?;
        let mut secret = None;
        let user = if claims.issuer == LEGACY_ISSUER && payload.get("kubernetes.io").is_none() {
            let (user, own) = legacy_user(&payload, &claims, token, lookup)?;
            secret = Some(own);
            user
        } else {
            bound_user(&claims, now, lookup)?
        };
        Ok(Some(Authenticated {
            user,
            audiences: matching,
            secret,
        }))
    }

    fn verified_payload(&self, token: &str) -> Result<Option<Arc<Value>>, AuthnError> {
        let mut key = [0; 32];
        key.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref());
        if let Some(payload) = self.verified.lock().get(&key) {
            return Ok(Some(payload.clone()));
        }
        let Some(parsed) = jws::parse(token) else {
            return Ok(None);
        };
        let issuer = parsed
            .payload
            .get("iss")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if issuer != LEGACY_ISSUER && !self.issuers.iter().any(|own| own == issuer) {
            return Ok(None);
        }
        let payload = parsed
            .verify(&self.keys)
            .map_err(|error| AuthnError(error.to_string()))?;
        let payload = Arc::new(payload);
        let mut verified = self.verified.lock();
        if verified.len() >= VERIFIED_TOKENS_MAX {
            verified.clear();
        }
        verified.insert(key, payload.clone());
        Ok(Some(payload))
    }

    fn matching_audiences(
        &self,
        claims: &Claims,
        wanted: &[String],
    ) -> Result<Vec<String>, AuthnError> {
        let own = if claims.audiences.is_empty() {
            &self.api_audiences
        } else {
            &claims.audiences
        };
        let wanted = if wanted.is_empty() {
            self.api_audiences.as_slice()
        } else {
            wanted
        };
        let matching: Vec<String> = own
            .iter()
            .filter(|own| wanted.contains(own))
            .cloned()
            .collect();
        if matching.is_empty() && !self.api_audiences.is_empty() {
            return Err(AuthnError(format!(
                "token audiences {} is invalid for the target audiences {}",
                quoted_list(own),
                quoted_list(wanted)
            )));
        }
        Ok(matching)
    }
}

fn refuse<T>(text: impl Into<String>) -> Result<T, AuthnError> {
    Err(AuthnError(text.into()))
}

fn check_times(claims: &Claims, now: i64) -> Result<(), AuthnError> {
    let late = now.saturating_add(TOKEN_LEEWAY_SECONDS);
    let early = now.saturating_sub(TOKEN_LEEWAY_SECONDS);
    if claims.not_before.is_some_and(|time| late < time) {
        return refuse("service account token is not valid yet");
    }
    if claims.expiry.is_some_and(|time| early > time) {
        return refuse("service account token has expired");
    }
    if claims.issued_at.is_some_and(|time| late < time) {
        return refuse("service account token is issued in the future");
    }
    Ok(())
}

fn bound_user(claims: &Claims, now: i64, lookup: &Lookup<'_>) -> Result<UserInfo, AuthnError> {
    check_times(claims, now)?;
    let (namespace, account) = (claims.namespace.as_str(), &claims.service_account);
    let deleted_before = now.saturating_sub(TOKEN_LEEWAY_SECONDS);
    let is_deleted = |found: &Found| found.deleted_at.is_some_and(|time| time < deleted_before);
    let Some(found) = lookup(BoundKind::ServiceAccount, namespace, &account.name) else {
        return refuse(format!(
            "serviceaccounts {} not found",
            quoted(&account.name)
        ));
    };
    if found.uid != account.uid {
        let (own, claimed) = (&found.uid, &account.uid);
        return refuse(format!(
            "service account UID ({own}) does not match claim ({claimed})"
        ));
    }
    if is_deleted(&found) {
        return refuse(format!(
            "service account {namespace}/{} has been deleted",
            account.name
        ));
    }
    let check = |kind: BoundKind, word: &str, namespace: &str, reference: &Ref| {
        let Some(found) = lookup(kind, namespace, &reference.name) else {
            return refuse("service account token has been invalidated");
        };
        if found.uid != reference.uid {
            return refuse(format!(
                "{word} UID ({}) does not match service account {} ref claim ({})",
                found.uid,
                word.to_lowercase(),
                reference.uid
            ));
        }
        if is_deleted(&found) {
            refuse("service account token has been invalidated")
        } else {
            Ok(())
        }
    };
    if let Some(secret) = &claims.secret {
        check(BoundKind::Secret, "secret", namespace, secret)?;
    }
    if let Some(pod) = &claims.pod {
        check(BoundKind::Pod, "pod", namespace, pod)?;
    } else if let Some(node) = &claims.node {
        // The node of a pod's token is information only; a token bound to a node dies with it.
        check(BoundKind::Node, "node", "", node)?;
    }
    Ok(user_of(claims))
}

fn user_of(claims: &Claims) -> UserInfo {
    let mut user = UserInfo {
        username: service_account_username(&claims.namespace, &claims.service_account.name),
        uid: claims.service_account.uid.clone(),
        groups: service_account_groups(&claims.namespace),
        ..UserInfo::default()
    };
    let mut extra = |key: String, value: &str| user.extra.insert(key, vec![value.to_owned()]);
    if let Some(pod) = claims
        .pod
        .as_ref()
        .filter(|pod| !pod.name.is_empty() && !pod.uid.is_empty())
    {
        extra(format!("{EXTRA_PREFIX}pod-name"), &pod.name);
        extra(format!("{EXTRA_PREFIX}pod-uid"), &pod.uid);
    }
    if !claims.id.is_empty() {
        extra(CREDENTIAL_ID_KEY.to_owned(), &format!("JTI={}", claims.id));
    }
    if let Some(node) = claims.node.as_ref().filter(|node| !node.name.is_empty()) {
        extra(format!("{EXTRA_PREFIX}node-name"), &node.name);
        if !node.uid.is_empty() {
            extra(format!("{EXTRA_PREFIX}node-uid"), &node.uid);
        }
    }
    user
}

/// A token that lives in a secret for as long as the secret does.
fn legacy_user(
    payload: &Value,
    claims: &Claims,
    token: &str,
    lookup: &Lookup<'_>,
) -> Result<(UserInfo, (String, String)), AuthnError> {
    let claim = |key: &str| {
        let key = format!("kubernetes.io/serviceaccount/{key}");
        payload
            .get(&key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (namespace, secret) = (claim("namespace"), claim("secret.name"));
    let (name, uid) = (claim("service-account.name"), claim("service-account.uid"));
    for (value, what) in [
        (&claims.subject, "sub"),
        (&namespace, "namespace"),
        (&secret, "secretName"),
        (&name, "serviceAccountName"),
        (&uid, "serviceAccountUID"),
    ] {
        if value.is_empty() {
            return refuse(format!("{what} claim is missing"));
        }
    }
    if split_service_account(&claims.subject) != Some((namespace.as_str(), name.as_str())) {
        return refuse("sub claim is invalid");
    }
    let stored =
        lookup(BoundKind::Secret, &namespace, &secret).filter(|found| found.deleted_at.is_none());
    let Some(stored) = stored else {
        return refuse("Token has been invalidated");
    };
    if !super::same_bytes(
        stored.token.as_deref().unwrap_or_default(),
        token.as_bytes(),
    ) {
        return refuse("Token does not match server's copy");
    }
    let Some(account) = lookup(BoundKind::ServiceAccount, &namespace, &name) else {
        return refuse(format!("serviceaccounts {} not found", quoted(&name)));
    };
    if account.deleted_at.is_some() {
        return refuse(format!(
            "ServiceAccount {namespace}/{name} has been deleted"
        ));
    }
    if account.uid != uid {
        return refuse(format!(
            "ServiceAccount UID ({}) does not match claim ({uid})",
            account.uid
        ));
    }
    if stored.invalidated {
        return refuse(format!(
            "the token in secret {namespace}/{secret} for service account {namespace}/{name} has been marked invalid"
        ));
    }
    let user = UserInfo {
        username: service_account_username(&namespace, &name),
        uid,
        groups: service_account_groups(&namespace),
        ..UserInfo::default()
    };
    Ok((user, (namespace, secret)))
}
