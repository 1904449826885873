//! A request's credentials tried in order: certificate, bearer token, nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::bootstrap_token::{authenticate_bootstrap_token, bootstrap_secret_name};
use super::certificate::user_from_certificate;
use super::service_account::{Lookup, ServiceAccountTokens};
use super::token_file::TokenFile;
use crate::user::UserInfo;

/// A user, and the audiences the credential is good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authenticated {
    /// The user.
    pub user: UserInfo,
    /// The audiences asked for that the credential is for.
    pub audiences: Vec<String>,
    /// Namespace and name of the secret whose token it was, if it was one that lives in a secret.
    pub secret: Option<(String, String)>,
}

/// Why credentials were refused. The text names no secret; clients are told `Unauthorized` only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthnError(pub String);

const INVALID_TOKEN: &str = "invalid bearer token";

/// Who may come without credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// Nobody.
    #[default]
    Off,
    /// Everybody; authorization decides what they may do.
    Everywhere,
    /// Only requests for exactly these paths, such as `/livez`.
    Paths(Vec<String>),
}

impl Anonymous {
    /// True if a request for the path may come without credentials.
    pub fn allows(&self, path: &str) -> bool {
        match self {
            Anonymous::Off => false,
            Anonymous::Everywhere => true,
            Anonymous::Paths(paths) => paths.iter().any(|own| own == path),
        }
    }
}

/// What a request shows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The leaf certificate in DER whose chain TLS has verified.
    pub certificate: Option<&'a [u8]>,
    /// The bearer token, from [`bearer_token`] or [`websocket_bearer`].
    pub token: Option<&'a str>,
}

/// The look-ups that tokens need.
#[expect(missing_debug_implementations, reason = "two borrowed functions")]
#[derive(Clone, Copy)]
pub struct TokenLookups<'a> {
    /// Finds service accounts, pods, secrets and nodes.
    pub objects: &'a Lookup<'a>,
    /// Finds a secret of kube-system by name.
    pub bootstrap_secret: &'a dyn Fn(&str) -> Option<Value>,
}

/// Everything that turns tokens into users.
#[derive(Debug, Default)]
pub struct TokenAuthenticators {
    /// The static token file.
    pub file: Option<TokenFile>,
    /// Service account tokens.
    pub service_accounts: Option<ServiceAccountTokens>,
    /// True if bootstrap tokens are accepted.
    pub bootstrap: bool,
    /// The audiences of this apiserver, for tokens that know none.
    pub api_audiences: Vec<String>,
}

impl TokenAuthenticators {
    /// The user of a token, with no group added yet. `audiences` are those asked for, empty for this apiserver's
    /// own. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// If the token is of no kind that is known here, or is not valid.
    pub fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        now: i64,
        lookups: TokenLookups<'_>,
    ) -> Result<Authenticated, AuthnError> {
        let agnostic = |user: UserInfo| self.for_any_audience(user, audiences);
        let from_file = self.file.as_ref().and_then(|file| file.authenticate(token));
        if let Some(found) = from_file.cloned().and_then(agnostic) {
            return Ok(found);
        }
        let mut refused = None;
        if let Some(tokens) = &self.service_accounts {
            match tokens.authenticate(token, audiences, now, lookups.objects) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(error) => refused = Some(error),
            }
        }
        if let Some(name) = bootstrap_secret_name(token).filter(|_| self.bootstrap) {
            let secret = (lookups.bootstrap_secret)(&name);
            let user = secret.and_then(|secret| authenticate_bootstrap_token(token, &secret, now));
            if let Some(found) = user.and_then(agnostic) {
                return Ok(found);
            }
        }
        Err(refused.unwrap_or_else(|| AuthnError(INVALID_TOKEN.to_owned())))
    }

    /// A token without audiences is for this apiserver.
    fn for_any_audience(&self, user: UserInfo, wanted: &[String]) -> Option<Authenticated> {
        if wanted.is_empty() {
            return Some(Authenticated {
                user,
                audiences: self.api_audiences.clone(),
                secret: None,
            });
        }
        let audiences: Vec<String> = self
            .api_audiences
            .iter()
            .filter(|own| wanted.contains(own))
            .cloned()
            .collect();
        (!audiences.is_empty()).then_some(Authenticated {
            user,
            audiences,
            secret: None,
        })
    }

    /// The user of a request: by certificate, then by token, then without credentials if that is allowed. A
    /// token that is not valid is an error, not an anonymous user.
    ///
    /// # Errors
    /// If the credentials are not valid, or there are none and `anonymous` does not allow the path.
    pub fn authenticate_request(
        &self,
        credentials: Credentials<'_>,
        path: &str,
        anonymous: &Anonymous,
        now: i64,
        lookups: TokenLookups<'_>,
    ) -> Result<Authenticated, AuthnError> {
        let mut refused = None;
        match credentials.certificate.map(user_from_certificate) {
            Some(Ok(Some(user))) => {
                let user = user.with_authenticated_group();
                return Ok(Authenticated {
                    user,
                    audiences: self.api_audiences.clone(),
                    secret: None,
                });
            }
            Some(Err(error)) => refused = Some(AuthnError(error.to_string())),
            Some(Ok(None)) | None => {}
        }
        if let Some(token) = credentials.token {
            match self.authenticate(token, &[], now, lookups) {
                Ok(found) => {
                    let user = found.user.with_authenticated_group();
                    return Ok(Authenticated { user, ..found });
                }
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(error) => Err(error),
            None if anonymous.allows(path) => {
                let (user, audiences) = (UserInfo::anonymous(), self.api_audiences.clone());
                Ok(Authenticated {
                    user,
                    audiences,
                    secret: None,
                })
            }
            None => Err(AuthnError("no credentials".to_owned())),
        }
    }
}

/// The token of an `Authorization: Bearer …` header.
pub fn bearer_token(authorization: &str) -> Option<&str> {
    let mut parts = authorization.trim().splitn(3, ' ');
    let scheme = parts.next()?;
    let token = parts.next()?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

const WEBSOCKET_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// The token that browsers hide among the WebSocket subprotocols, and the subprotocols that are left. `None` if
/// there is none.
///
/// # Errors
/// If there is more than one, it cannot be decoded, or no other subprotocol is offered.
pub fn websocket_bearer(protocols: &str) -> Result<Option<(String, Vec<&str>)>, AuthnError> {
    let refuse = |text: &str| Err(AuthnError(text.to_owned()));
    let (with, rest): (Vec<&str>, Vec<&str>) = protocols
        .split(',')
        .map(str::trim)
        .partition(|protocol| protocol.starts_with(WEBSOCKET_PREFIX));
    let encoded = match with[..] {
        [] => return Ok(None),
        [one] => &one[WEBSOCKET_PREFIX.len()..],
        _ => return refuse("multiple base64.bearer.authorization tokens specified"),
    };
    let Ok(token) = URL_SAFE_NO_PAD.decode(encoded) else {
        return refuse("invalid base64.bearer.authorization token encoding");
    };
    let Ok(token) = String::from_utf8(token) else {
        return refuse("invalid base64.bearer.authorization token");
    };
    match (token.is_empty(), rest.is_empty()) {
        (true, _) => Ok(None),
        (false, true) => refuse("missing additional subprotocol"),
        (false, false) => Ok(Some((token, rest))),
    }
}
