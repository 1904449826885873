//! The two documents from which others learn to verify service account tokens.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::key::{Algorithm, KeySet, VerifyKey};

/// Where the discovery document is served, as `application/json`.
pub const OPENID_CONFIG_PATH: &str = "/.well-known/openid-configuration";
/// Where the keys are served, as `application/jwk-set+json`.
pub const JWKS_PATH: &str = "/openid/v1/jwks";

/// Why the documents cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenIdError {
    /// The issuer or the keys' address is not an https URL.
    #[error("{0} requires https scheme, got: {1}")]
    NotHttps(&'static str, String),
    /// The issuer has a query or a fragment.
    #[error("issuer URL may not include a query or a fragment, got: {0}")]
    QueryOrFragment(String),
    /// There are no keys.
    #[error("no keys provided for validating keyset")]
    NoKeys,
}

/// The documents as bytes; both may be cached for an hour (`public, max-age=3600`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIdDocuments {
    /// The discovery document.
    pub configuration: Vec<u8>,
    /// The keys.
    pub keys: Vec<u8>,
}

#[derive(Serialize)]
struct Configuration<'a> {
    issuer: &'a str,
    jwks_uri: &'a str,
    response_types_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: Vec<&'static str>,
}

#[derive(Serialize)]
struct KeyDocument {
    keys: Vec<Jwk>,
}

#[derive(Serialize)]
struct Jwk {
    #[serde(rename = "use")]
    usage: &'static str,
    kty: &'static str,
    kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
}

impl OpenIdDocuments {
    /// Builds both. Without `jwks_uri` the keys are at [`JWKS_PATH`] of the external address (host and port).
    ///
    /// # Errors
    /// If the addresses are not what OpenID Connect asks for, or there are no keys.
    pub fn new(
        issuer: &str,
        jwks_uri: Option<&str>,
        external_address: &str,
        keys: &KeySet,
    ) -> Result<OpenIdDocuments, OpenIdError> {
        let default = format!("https://{external_address}{JWKS_PATH}");
        let jwks_uri = jwks_uri.unwrap_or(&default);
        for (what, url) in [("issuer URL", issuer), ("jwksURI", jwks_uri)] {
            if !url.starts_with("https://") {
                return Err(OpenIdError::NotHttps(what, url.to_owned()));
            }
        }
        if issuer.contains(['?', '#']) {
            return Err(OpenIdError::QueryOrFragment(issuer.to_owned()));
        }
        if keys.keys().is_empty() {
            return Err(OpenIdError::NoKeys);
        }
        let algorithms: BTreeSet<&str> = keys
            .keys()
            .iter()
            .map(|key| key.algorithm().name())
            .collect();
        let configuration = Configuration {
            issuer,
            jwks_uri,
            response_types_supported: ["id_token"],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: algorithms.into_iter().collect(),
        };
        let document = KeyDocument {
            keys: keys.keys().iter().map(jwk).collect(),
        };
        Ok(OpenIdDocuments {
            configuration: serde_json::to_vec(&configuration).expect("strings only"),
            keys: serde_json::to_vec(&document).expect("strings only"),
        })
    }
}

fn jwk(key: &VerifyKey) -> Jwk {
    let (first, second) = key.numbers();
    let (first, second) = (
        URL_SAFE_NO_PAD.encode(first),
        URL_SAFE_NO_PAD.encode(second),
    );
    let algorithm = key.algorithm();
    let curve = match algorithm {
        Algorithm::Es256 => Some("P-256"),
        Algorithm::Es384 => Some("P-384"),
        Algorithm::Rs256 => None,
    };
    let elliptic = curve.is_some();
    let (point, rsa) = if elliptic {
        (Some((first, second)), None)
    } else {
        (None, Some((first, second)))
    };
    let (x, y) = point.unzip();
    let (n, e) = rsa.unzip();
    Jwk {
        usage: "sig",
        kty: if elliptic { "EC" } else { "RSA" },
        kid: key.id().to_owned(),
        crv: curve,
        alg: algorithm.name(),
        x,
        y,
        n,
        e,
    }
}
