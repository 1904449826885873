//! Credentials of its own for each controller: those of a service account, by tokens that are renewed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use rand::Rng as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::limits::{TOKEN_EVERY_MIN, TOKEN_LIFE, TOKEN_PAUSE_MAX, TOKEN_PAUSE_MIN, TOKEN_RENEWAL};

/// Where the service accounts of controllers are.
const NAMESPACE: &str = "kube-system";

/// The token of one service account, as it is now. Cheap to clone; never shown.
#[derive(Clone)]
pub struct Credential {
    state: Arc<State>,
}

struct State {
    account: String,
    header: ArcSwapOption<HeaderValue>,
    refused: Notify,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("account", &self.state.account)
            .finish_non_exhaustive()
    }
}

/// No token was given yet.
#[derive(Clone, Debug, thiserror::Error)]
#[error("there is no token of the service account {0} yet")]
pub(crate) struct NoToken(String);

impl Credential {
    fn new(account: &str) -> Self {
        Self {
            state: Arc::new(State {
                account: account.to_owned(),
                header: ArcSwapOption::empty(),
                refused: Notify::new(),
            }),
        }
    }

    /// What goes into the header `Authorization`.
    pub(crate) fn header(&self) -> Result<HeaderValue, NoToken> {
        let header = self.state.header.load();
        let header = header.as_ref().map(|header| HeaderValue::clone(header));
        header.ok_or_else(|| NoToken(self.state.account.clone()))
    }

    /// The server does not take it any more: the account was deleted, or the keys were changed.
    pub(crate) fn refused(&self) {
        self.state.refused.notify_one();
    }
}

/// Gives credentials and renews them until it is dropped.
#[derive(Debug)]
pub struct Credentials {
    keeper: Keeper,
    renewals: Mutex<JoinSet<()>>,
}

#[derive(Clone)]
struct Keeper {
    client: Client,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl Credentials {
    /// `client` must be allowed to create service accounts and their tokens in `kube-system`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            keeper: Keeper { client },
            renewals: Mutex::default(),
        }
    }

    /// The credentials of the service account `account` of `kube-system`, which is made if it is missing. Waits for
    /// the first token, for as long as it takes.
    pub async fn of(&self, account: &str) -> Credential {
        let credential = Credential::new(account);
        let life = self.keeper.obtain(&credential).await;
        let keeper = self.keeper.clone();
        let kept = credential.clone();
        self.renewals
            .lock()
            .spawn(async move { keeper.keep(&kept, life).await });
        credential
    }
}

impl Keeper {
    /// Renews for ever.
    async fn keep(&self, credential: &Credential, mut life: Duration) {
        loop {
            let due = renewal(life, rand::rng().random_range(0.0..1.0));
            tokio::select! {
                () = sleep(due) => {}
                // Not at once, for many requests are refused together, and the next token may be refused as well.
                () = credential.state.refused.notified() => sleep(TOKEN_EVERY_MIN).await,
            }
            life = self.obtain(credential).await;
        }
    }

    /// Sets a new token and says how long it lives.
    async fn obtain(&self, credential: &Credential) -> Duration {
        let account = &credential.state.account;
        let mut pause = TOKEN_PAUSE_MIN;
        loop {
            match self.ask(account).await {
                Ok((header, life)) => {
                    credential.state.header.store(Some(Arc::new(header)));
                    return life;
                }
                Err(error) => tracing::warn!(account, "no token: {error}"),
            }
            let longer = rand::rng().random_range(1.0..1.5);
            sleep(pause.mul_f64(longer)).await;
            pause = (pause * 2).min(TOKEN_PAUSE_MAX);
        }
    }

    async fn ask(&self, account: &str) -> Result<(HeaderValue, Duration), TokenError> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), NAMESPACE);
        self.ensure(&accounts, account).await?;
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(i64::try_from(TOKEN_LIFE.as_secs()).unwrap_or(i64::MAX)),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let params = PostParams::default();
        let given = accounts.create_token_request(account, &params, &request);
        let status = given.await?.status.ok_or(TokenError::Empty)?;
        let token = status.token.unwrap_or_default();
        if token.is_empty() {
            return Err(TokenError::Empty);
        }
        let mut header =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| TokenError::Empty)?;
        header.set_sensitive(true);
        let expires = status.expiration_timestamp.ok_or(TokenError::Empty)?;
        let life = expires.0.duration_since(Timestamp::now());
        // A clock that is far off must not make this ask all the time.
        let life = Duration::try_from(life).unwrap_or_default();
        Ok((header, life.clamp(TOKEN_EVERY_MIN, TOKEN_LIFE * 24)))
    }

    async fn ensure(&self, accounts: &Api<ServiceAccount>, name: &str) -> kube::Result<()> {
        if accounts.get_opt(name).await?.is_some() {
            return Ok(());
        }
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(name.to_owned());
        let created = accounts.create(&PostParams::default(), &account).await;
        match created {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                // The namespace is not there yet; whoever makes it, the next attempt finds it.
                let mut namespace = Namespace::default();
                namespace.metadata.name = Some(NAMESPACE.to_owned());
                let namespaces: Api<Namespace> = Api::all(self.client.clone());
                let _ = namespaces.create(&PostParams::default(), &namespace).await;
                Err(kube::Error::Api(status))
            }
            other => other.map(drop),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error(transparent)]
    Refused(#[from] kube::Error),
    #[error("the answer has no token in it")]
    Empty,
}

/// When to renew what lives for `life`: at 80 %, some a little later so that not all ask at once.
fn renewal(life: Duration, chance: f64) -> Duration {
    life.mul_f64(TOKEN_RENEWAL + 0.05 * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_at_four_fifths_of_its_life() {
        let hour = Duration::from_secs(3600);
        assert_eq!(renewal(hour, 0.0), Duration::from_secs(2880));
        assert!(renewal(hour, 1.0) < Duration::from_secs(3061));
    }

    #[test]
    fn a_token_is_shown_nowhere() {
        let credential = Credential::new("replicaset-controller");
        assert!(credential.header().is_err());
        let mut header = HeaderValue::from_static("Bearer secret");
        header.set_sensitive(true);
        credential.state.header.store(Some(Arc::new(header)));
        let shown = format!("{credential:?} {:?}", credential.header());
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("replicaset-controller"));
    }
}
