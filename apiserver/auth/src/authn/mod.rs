//! Authentication: from a request's certificate, token or lack of both to a user.

mod bootstrap_token;
mod certificate;
mod claims;
mod impersonation;
mod jws;
mod key;
mod openid;
mod request;
mod review;
mod service_account;
mod time;
mod token_file;
mod token_request;

pub use bootstrap_token::{
    BOOTSTRAP_TOKEN_NAMESPACE, authenticate_bootstrap_token, bootstrap_secret_name,
};
pub use certificate::{CertificateError, user_from_certificate};
pub use impersonation::{
    Impersonation, ImpersonationError, Refusal, impersonate, impersonation_from_headers,
};
pub use key::{KeyError, KeySet, SigningKey, VerifyKey};
pub use openid::{JWKS_PATH, OPENID_CONFIG_PATH, OpenIdDocuments, OpenIdError};
pub use request::{
    Anonymous, Authenticated, AuthnError, Credentials, TokenAuthenticators, TokenLookups,
    bearer_token, websocket_bearer,
};
pub use review::{self_subject_review, token_review};
pub use service_account::{BoundKind, Found, LEGACY_ISSUER, Lookup, ServiceAccountTokens};
pub use token_file::{TokenFile, TokenFileError};
pub use token_request::{BoundObject, IssueError, Issued, TokenIssuer, TokenSpec};

/// Compares secrets in a time that does not tell where they differ. Lengths are no secret.
fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .fold(0, |differ, (a, b)| differ | (a ^ b))
            == 0
}
