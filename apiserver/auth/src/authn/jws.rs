//! Signed tokens in the compact form: header, payload and signature, each in base64url, joined by dots.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::key::{KeySet, SigningKey};
use crate::limits::TOKEN_BYTES_MAX;

/// A token taken apart but not verified: nothing in it may be trusted yet.
pub(crate) struct Unverified<'t> {
    signed: &'t str,
    header: Value,
    pub(crate) payload: Value,
    signature: Vec<u8>,
}

/// Takes a token apart; `None` if it is not in the form.
pub(crate) fn parse(token: &str) -> Option<Unverified<'_>> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    if payload.contains('.') {
        return None;
    }
    let json = |part: &str| -> Option<Value> {
        let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
        value.is_object().then_some(value)
    };
    Some(Unverified {
        signed,
        header: json(header)?,
        payload: json(payload)?,
        signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
    })
}

/// Why a signature was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("invalid signature, no keys found")]
    NoKey,
    #[error("invalid signature")]
    Invalid,
}

impl Unverified<'_> {
    /// The payload, once a key of the set has signed it.
    pub(crate) fn verify(self, keys: &KeySet) -> Result<Value, SignatureError> {
        let text = |name: &str| {
            self.header
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        // A token may not ask for header fields to be understood: none is.
        if self.header.get("crit").is_some() {
            return Err(SignatureError::Invalid);
        }
        let mut candidates = keys.candidates(text("kid")).peekable();
        if candidates.peek().is_none() {
            return Err(SignatureError::NoKey);
        }
        // The key decides the algorithm; what the token says must agree with it.
        let signed = candidates.any(|key| {
            key.algorithm().name() == text("alg")
                && key.verifies(self.signed.as_bytes(), &self.signature)
        });
        if signed {
            Ok(self.payload)
        } else {
            Err(SignatureError::Invalid)
        }
    }
}

impl SigningKey {
    /// A token with this payload; `None` if the system gives no randomness.
    pub fn sign_payload(&self, payload: &Value) -> Option<String> {
        let header = json!({"alg": self.public().algorithm().name(), "kid": self.public().id()});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(payload));
        let signature = self.sign(signed.as_bytes())?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
