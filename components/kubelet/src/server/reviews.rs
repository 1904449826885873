//! What the apiserver says of who asks: whose a token is (TokenReview), and what they may (SubjectAccessReview).

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};

use super::remembered::Remembered;
use super::user::User;
use crate::limits::{
    REVIEW_ATTEMPTS, REVIEW_DEADLINE, REVIEW_PAUSE, RIGHTS_REMEMBERED_MAX, TOKENS_REMEMBERED_MAX,
};

/// How long answers are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    pub token: Duration,
    pub allowed: Duration,
    pub denied: Duration,
}

/// What somebody wants to do with the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) user: User,
    pub(super) verb: &'static str,
    pub(super) subresource: &'static str,
}

/// Asks the apiserver, and remembers what it said.
pub(super) struct Reviews {
    client: Client,
    node: String,
    lives: Lives,
    /// By the token's digest: tokens themselves are not kept.
    users: Remembered<[u8; 32], Option<User>>,
    rights: Remembered<Wanted, bool>,
}

impl fmt::Debug for Reviews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reviews")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Reviews {
    pub(super) fn new(client: Client, node: &str, lives: Lives) -> Self {
        Self {
            client,
            node: node.to_owned(),
            lives,
            users: Remembered::new(TOKENS_REMEMBERED_MAX),
            rights: Remembered::new(RIGHTS_REMEMBERED_MAX),
        }
    }

    /// Whose a token is; `None` if it is nobody's.
    ///
    /// # Errors
    /// If the apiserver does not say.
    pub(super) async fn user(&self, token: &str) -> Result<Option<User>, String> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(user) = self.users.get(&digest) {
            return Ok(user);
        }
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let params = PostParams::default();
        let reviewed = again(|| reviews.create(&params, &review)).await?;
        let status = reviewed.status.unwrap_or_default();
        let user = match status.authenticated {
            Some(true) => status.user.map(User::of_review),
            _ => None,
        };
        self.users.put(digest, user.clone(), self.lives.token);
        Ok(user)
    }

    /// Whether it is allowed.
    ///
    /// # Errors
    /// If the apiserver does not say.
    pub(super) async fn allows(&self, wanted: Wanted) -> Result<bool, String> {
        if let Some(allowed) = self.rights.get(&wanted) {
            return Ok(allowed);
        }
        let user = wanted.user.clone();
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.name),
                uid: user.uid,
                groups: Some(user.groups),
                extra: (!user.extra.is_empty()).then_some(user.extra),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(wanted.verb.to_owned()),
                    version: Some("v1".to_owned()),
                    resource: Some("nodes".to_owned()),
                    subresource: Some(wanted.subresource.to_owned()),
                    name: Some(self.node.clone()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let params = PostParams::default();
        let reviewed = again(|| reviews.create(&params, &review)).await?;
        let status = reviewed.status;
        let allowed = status.is_some_and(|status| status.allowed && status.denied != Some(true));
        let life = match allowed {
            true => self.lives.allowed,
            false => self.lives.denied,
        };
        self.rights.put(wanted, allowed, life);
        Ok(allowed)
    }
}

/// Asks a few times: an apiserver may be on its way.
async fn again<T, A>(mut ask: impl FnMut() -> A) -> Result<T, String>
where
    A: Future<Output = kube::Result<T>>,
{
    let mut pause = REVIEW_PAUSE;
    let mut attempt = 1;
    loop {
        let why = match timeout(REVIEW_DEADLINE, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            // It has said no: it will not say otherwise in a moment.
            Ok(Err(kube::Error::Api(status))) if status.code < 500 && status.code != 429 => {
                return Err(status.message.clone());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {REVIEW_DEADLINE:?}"),
        };
        if attempt == REVIEW_ATTEMPTS {
            return Err(why);
        }
        attempt += 1;
        sleep(pause).await;
        pause = pause * 3 / 2;
    }
}
