//! Who may see pages, decided by the apiserver.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::{VERDICT_LIFE, VERDICTS_MAX};

/// Asks the apiserver who has a token (TokenReview) and what they may (SubjectAccessReview), and remembers the
/// answer for a moment.
pub(crate) struct Guard {
    client: Client,
    always: Vec<String>,
    verdicts: Mutex<HashMap<Question, (Instant, Verdict)>>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("always", &self.always)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    token: Option<String>,
    verb: String,
    path: String,
}

/// `Err` with what to answer.
pub(crate) type Verdict = Result<(), (StatusCode, String)>;

impl Guard {
    /// `always` are paths that everybody may see; one that ends with `*` stands for all that begin like it.
    pub(crate) fn new(client: Client, always: Vec<String>) -> Self {
        Self {
            client,
            always,
            verdicts: Mutex::default(),
        }
    }

    fn is_always(&self, path: &str) -> bool {
        self.always
            .iter()
            .any(|always| match always.strip_suffix('*') {
                Some(begin) => path.starts_with(begin),
                None => path == always,
            })
    }

    pub(crate) async fn judge(&self, verb: &str, path: &str, token: Option<&str>) -> Verdict {
        if self.is_always(path) {
            return Ok(());
        }
        let question = Question {
            token: token.map(str::to_owned),
            verb: verb.to_owned(),
            path: path.to_owned(),
        };
        if let Some(verdict) = self.remembered(&question) {
            return verdict;
        }
        let verdict = match self.ask(&question).await {
            Ok(verdict) => verdict,
            // Not remembered: the next one may be luckier.
            Err(error) => {
                tracing::warn!(path, "a request could not be judged: {error}");
                let text = "the apiserver could not be asked".to_owned();
                return Err((StatusCode::INTERNAL_SERVER_ERROR, text));
            }
        };
        self.remember(question, verdict.clone());
        verdict
    }

    fn remembered(&self, question: &Question) -> Option<Verdict> {
        let verdicts = self.verdicts.lock();
        let (at, verdict) = verdicts.get(question)?;
        (at.elapsed() < VERDICT_LIFE).then(|| verdict.clone())
    }

    fn remember(&self, question: Question, verdict: Verdict) {
        let mut verdicts = self.verdicts.lock();
        if verdicts.len() >= VERDICTS_MAX {
            verdicts.retain(|_, (at, _)| at.elapsed() < VERDICT_LIFE);
        }
        if verdicts.len() < VERDICTS_MAX {
            verdicts.insert(question, (Instant::now(), verdict));
        }
    }

    async fn ask(&self, question: &Question) -> kube::Result<Verdict> {
        let unauthorized = || Err((StatusCode::UNAUTHORIZED, "Unauthorized".to_owned()));
        let user = match &question.token {
            Some(token) => match self.user(token).await? {
                Some(user) => user,
                None => return Ok(unauthorized()),
            },
            None => UserInfo {
                username: Some("system:anonymous".to_owned()),
                groups: Some(vec!["system:unauthenticated".to_owned()]),
                ..UserInfo::default()
            },
        };
        let name = user.username.clone().unwrap_or_default();
        if self.is_allowed(user, question).await? {
            return Ok(Ok(()));
        }
        let Question { verb, path, .. } = question;
        let text = format!("forbidden: User \"{name}\" cannot {verb} path \"{path}\"");
        Ok(Err((StatusCode::FORBIDDEN, text)))
    }

    async fn user(&self, token: &str) -> kube::Result<Option<UserInfo>> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &review).await?;
        let status = reviewed.status.filter(|s| s.authenticated == Some(true));
        Ok(status.and_then(|status| status.user))
    }

    async fn is_allowed(&self, user: UserInfo, question: &Question) -> kube::Result<bool> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                uid: user.uid,
                groups: user.groups,
                extra: user.extra,
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(question.path.clone()),
                    verb: Some(question.verb.clone()),
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &review).await?;
        let status = reviewed.status;
        Ok(status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

/// Longest wait for a verdict.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
