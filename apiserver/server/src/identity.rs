//! Who asks: certificates and tokens, with look-ups answered by the watch caches.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{CACHE_CONTROL, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, Response, StatusCode};
use mainstay_auth::authn::{
    Anonymous, Authenticated, AuthnError, BoundKind, Credentials, Found, ImpersonationError,
    KeySet, OpenIdDocuments, ServiceAccountTokens, SigningKey, TokenAuthenticators, TokenFile,
    TokenIssuer, TokenLookups, bearer_token, impersonate, impersonation_from_headers,
    websocket_bearer,
};
use mainstay_auth::{Attributes, Authorizer, UserInfo};
use mainstay_machinery::status::{GroupResource, StatusError};
use serde_json::Value;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::admission::Lookup;
use crate::answer;
use crate::body::Body;
use crate::flags::Flags;
use crate::loops::LegacyUses;

/// How long clients may keep the keys that tokens are verified with.
const KEYS_MAX_AGE: &str = "public, max-age=3600";

/// Everything that turns credentials into users.
pub(crate) struct Identity {
    tokens: TokenAuthenticators,
    anonymous: Anonymous,
    lookup: Lookup,
    legacy_uses: LegacyUses,
    issuer: TokenIssuer,
    documents: Option<OpenIdDocuments>,
}

/// Why identities cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: String },
}

impl Identity {
    /// `key_files` verify tokens beside the public half of the signing key.
    pub(crate) fn new(
        flags: &Flags,
        signing_key: &Path,
        address: &str,
        lookup: Lookup,
    ) -> Result<Self, IdentityError> {
        let key = SigningKey::from_pem(&read(signing_key)?).map_err(|e| file(signing_key, e))?;
        let mut keys = KeySet::new();
        keys.add(key.public().clone())
            .map_err(|e| file(signing_key, e))?;
        for path in &flags.service_account_key_file {
            keys.add_pem(&read(path)?).map_err(|e| file(path, e))?;
        }
        let issuer = flags.service_account_issuer.as_str();
        let audiences = flags.audiences();
        let documents = OpenIdDocuments::new(issuer, None, address, &keys);
        if let Err(e) = &documents {
            tracing::warn!("OpenID documents are not served: {e}");
        }
        let borrowed: Vec<&str> = audiences.iter().map(String::as_str).collect();
        let file_tokens = match &flags.token_auth_file {
            Some(path) => Some(TokenFile::parse(&read(path)?).map_err(|e| file(path, e))?),
            None => None,
        };
        let longest = flags.service_account_max_token_expiration.as_secs();
        Ok(Self {
            tokens: TokenAuthenticators {
                file: file_tokens,
                service_accounts: Some(ServiceAccountTokens::new(&[issuer], keys, &borrowed)),
                bootstrap: flags.enable_bootstrap_token_auth,
                api_audiences: audiences.clone(),
            },
            anonymous: match flags.anonymous_auth {
                true => Anonymous::Everywhere,
                false => Anonymous::Off,
            },
            lookup,
            legacy_uses: LegacyUses::default(),
            issuer: TokenIssuer {
                issuer: issuer.to_owned(),
                key,
                api_audiences: audiences,
                expiration_seconds_max: i64::try_from(longest).ok().filter(|max| *max > 0),
                extend_expiration: true,
            },
            documents: documents.ok(),
        })
    }

    /// The user of a request.
    pub(crate) fn caller(
        &self,
        headers: &HeaderMap,
        certificates: &[CertificateDer<'static>],
        path: &str,
    ) -> Result<UserInfo, AuthnError> {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let mut token = text(http::header::AUTHORIZATION).and_then(bearer_token);
        let by_protocol;
        if token.is_none()
            && let Some(protocols) = text(SEC_WEBSOCKET_PROTOCOL)
        {
            by_protocol = websocket_bearer(protocols)?;
            token = by_protocol.as_ref().map(|(token, _)| token.as_str());
        }
        let credentials = Credentials {
            certificate: certificates.first().map(|leaf| leaf.as_ref()),
            token,
        };
        let found = self.with_lookups(|lookups| {
            self.tokens
                .authenticate_request(credentials, path, &self.anonymous, seconds(), lookups)
        })?;
        self.note(&found);
        Ok(found.user)
    }

    fn note(&self, found: &Authenticated) {
        if let (Some(secret), Ok(registry)) = (&found.secret, self.lookup.registry()) {
            self.legacy_uses.note(registry, secret);
        }
    }

    /// The user of a token, for TokenReview.
    pub(crate) fn review(
        &self,
        token: &str,
        audiences: &[String],
    ) -> Result<Authenticated, AuthnError> {
        let found = self.with_lookups(|lookups| {
            self.tokens
                .authenticate(token, audiences, seconds(), lookups)
        })?;
        self.note(&found);
        Ok(found)
    }

    pub(crate) fn audiences(&self) -> &[String] {
        &self.tokens.api_audiences
    }

    pub(crate) fn issuer(&self) -> &TokenIssuer {
        &self.issuer
    }

    fn with_lookups<T>(&self, run: impl FnOnce(TokenLookups<'_>) -> T) -> T {
        let object = |kind: BoundKind, namespace: &str, name: &str| {
            let found = self.object(kind, namespace, name)?;
            Some(Found::from_value(&found))
        };
        let secret = |name: &str| {
            let found = self.known("secrets", "kube-system", name);
            found.map(Arc::unwrap_or_clone)
        };
        run(TokenLookups {
            objects: &object,
            bootstrap_secret: &secret,
        })
    }

    /// An object that a token may hang on.
    pub(crate) fn object(
        &self,
        kind: BoundKind,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        let plural = match kind {
            BoundKind::ServiceAccount => "serviceaccounts",
            BoundKind::Pod => "pods",
            BoundKind::Secret => "secrets",
            BoundKind::Node => "nodes",
        };
        self.known(plural, namespace, name)
    }

    fn known(&self, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let registry = self.lookup.registry().ok()?;
        let resource = mainstay_schema::resource("", "v1", plural)?;
        registry.known_one(resource, namespace, name)
    }

    /// `/openid/v1/jwks`.
    pub(crate) fn jwks(&self) -> Result<Response<Body>, StatusError> {
        let documents = self
            .documents
            .as_ref()
            .ok_or_else(StatusError::unknown_path)?;
        let media = HeaderValue::from_static("application/jwk-set+json");
        Ok(kept(answer::whole(
            StatusCode::OK,
            media,
            documents.keys.clone(),
        )))
    }

    /// `/.well-known/openid-configuration`.
    pub(crate) fn openid_configuration(&self) -> Result<Response<Body>, StatusError> {
        let documents = self
            .documents
            .as_ref()
            .ok_or_else(StatusError::unknown_path)?;
        let body = documents.configuration.clone();
        Ok(kept(answer::json_bytes(StatusCode::OK, body)))
    }
}

fn kept(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(KEYS_MAX_AGE));
    response
}

/// The user that a request acts as: another one, if it says so and may.
pub(crate) fn acting(
    request: &Attributes<'_>,
    headers: &HeaderMap,
    authorizer: &dyn Authorizer,
) -> Result<Option<UserInfo>, StatusError> {
    let refused = |e: ImpersonationError| match e {
        ImpersonationError::BadRequest(text) => StatusError::bad_request(text),
        ImpersonationError::Forbidden(refusal) => {
            let resource = GroupResource::new(&refusal.group, &refusal.resource);
            let mut refused = StatusError::forbidden(resource, &refusal.name, "");
            refused.message = refusal.message;
            refused
        }
    };
    match impersonation_from_headers(headers).map_err(refused)? {
        None => Ok(None),
        Some(wanted) => impersonate(authorizer, request, &wanted)
            .map(Some)
            .map_err(refused),
    }
}

/// Seconds since 1970.
pub(crate) fn seconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    std::fs::read(path).map_err(|e| file(path, e))
}

fn file(path: &Path, why: impl std::fmt::Display) -> IdentityError {
    IdentityError::File {
        path: path.to_path_buf(),
        why: why.to_string(),
    }
}
