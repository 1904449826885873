//! Who may see and do what.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::attributes::{subresources, verb};
use super::clients::Authorities;
use super::reviews::{Reviews, Wanted};
use super::user::User;

/// The certificates that a client has shown; empty for none.
pub(super) type Shown = Arc<[CertificateDer<'static>]>;

/// Judges requests.
#[derive(Debug)]
pub(super) struct Guard {
    /// Whose certificates count; `None` if none do.
    pub(super) authorities: Option<Authorities>,
    pub(super) reviews: Reviews,
    /// Whether tokens are asked about.
    pub(super) tokens: bool,
    pub(super) anonymous: bool,
    /// Whether who is known may do everything.
    pub(super) always_allow: bool,
}

/// What is answered instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

impl Guard {
    /// # Errors
    /// What to answer, in upstream's words.
    pub(super) async fn judge(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        shown: &Shown,
    ) -> Result<(), Refusal> {
        let Some(user) = self.authenticate(headers, shown).await else {
            return Err(Refusal(StatusCode::UNAUTHORIZED, "Unauthorized".to_owned()));
        };
        if self.always_allow {
            return Ok(());
        }
        let verb = verb(method);
        let wanted = subresources(path);
        for subresource in &wanted {
            let question = Wanted {
                user: user.clone(),
                verb,
                subresource,
            };
            match self.reviews.allows(question).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    let who = format!(
                        "(user={}, verb={verb}, resource=nodes, subresource={subresource})",
                        user.name
                    );
                    tracing::warn!("a request cannot be judged {who}: {error}");
                    let text = format!("Authorization error {who}");
                    return Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, text));
                }
            }
        }
        let text = format!(
            "Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{}])\n",
            user.name,
            wanted.join(" ")
        );
        Err(Refusal(StatusCode::FORBIDDEN, text))
    }

    /// By certificate, else by token. Who shows something that does not count is nobody, not anonymous.
    async fn authenticate(&self, headers: &HeaderMap, shown: &Shown) -> Option<User> {
        let mut wrong = false;
        if let (Some(authorities), false) = (&self.authorities, shown.is_empty()) {
            match authorities.user(shown).await {
                Ok(user) => return Some(user),
                Err(error) => {
                    tracing::info!("a client's certificate does not count: {error}");
                    wrong = true;
                }
            }
        }
        if let (true, Some(token)) = (self.tokens, bearer(headers)) {
            match self.reviews.user(token).await {
                Ok(Some(user)) => return Some(user),
                Ok(None) => wrong = true,
                Err(error) => {
                    tracing::warn!("a token could not be asked about: {error}");
                    wrong = true;
                }
            }
        }
        (self.anonymous && !wrong).then(User::anonymous)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn tokens_are_read_from_the_header() {
        for (header, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer ", None),
            ("Bearer", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
            assert_eq!(bearer(&headers), token, "{header:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
