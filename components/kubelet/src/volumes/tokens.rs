//! Service account tokens of pods, renewed in time.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;

use crate::limits::{TOKEN_AGE_MAX, TOKEN_SECONDS};

/// Which token: two volumes of one pod that ask for the same get the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TokenKey {
    pod: String,
    audience: String,
    seconds: i64,
}

struct Token {
    text: String,
    issued: Timestamp,
    expires: Timestamp,
}

impl Token {
    /// At four fifths of its life or after a day.
    fn is_old(&self, now: Timestamp) -> bool {
        let life = self.expires.duration_since(self.issued);
        let age_max = SignedDuration::try_from(TOKEN_AGE_MAX).unwrap_or(SignedDuration::MAX);
        now.duration_since(self.issued) > (life * 4 / 5).min(age_max)
    }
}

/// Tokens of all pods of the node. They are in memory alone, and in the pods' volumes.
pub(super) struct Tokens {
    client: Client,
    known: Mutex<HashMap<TokenKey, Arc<Token>>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.known.lock().len();
        f.debug_struct("Tokens")
            .field("known", &known)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            known: Mutex::default(),
        }
    }

    /// A token for a pod's volume, asked for if there is none or it is old. An old one that is still good serves as
    /// long as no newer one can be had.
    ///
    /// # Errors
    /// If there is none that is good.
    pub(super) async fn get(
        &self,
        pod: &Pod,
        source: &ServiceAccountTokenProjection,
    ) -> Result<String, String> {
        let key = TokenKey {
            pod: pod.metadata.uid.clone().unwrap_or_default(),
            audience: source.audience.clone().unwrap_or_default(),
            seconds: source.expiration_seconds.unwrap_or(TOKEN_SECONDS),
        };
        let known = self.known.lock().get(&key).cloned();
        let now = Timestamp::now();
        if let Some(known) = known.as_ref().filter(|known| !known.is_old(now)) {
            return Ok(known.text.clone());
        }
        match self.request(pod, &key).await {
            Ok(token) => {
                let text = token.text.clone();
                self.known.lock().insert(key, Arc::new(token));
                Ok(text)
            }
            Err(error) => match known {
                Some(known) if known.expires > now => {
                    tracing::warn!(pod = key.pod, "token not renewed: {error}");
                    Ok(known.text.clone())
                }
                Some(_) => Err(format!("token expired and refresh failed: {error}")),
                None => Err(format!("failed to fetch token: {error}")),
            },
        }
    }

    async fn request(&self, pod: &Pod, key: &TokenKey) -> Result<Token, String> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let account = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.as_deref());
        let audience = Some(&key.audience).filter(|audience| !audience.is_empty());
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: audience.map(|audience| vec![audience.clone()]),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: pod.metadata.name.clone(),
                    uid: pod.metadata.uid.clone(),
                }),
                expiration_seconds: Some(key.seconds),
            }),
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let account = account.unwrap_or("default");
        // By this node's clock, as its age will be.
        let issued = Timestamp::now();
        let answer = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status.unwrap_or_default();
        let text = status.token.filter(|text| !text.is_empty());
        let text = text.ok_or("the answer has no token")?;
        // The server may have given it another life than it was asked for.
        let life = answer
            .spec
            .and_then(|spec| spec.expiration_seconds)
            .unwrap_or(key.seconds);
        let asked = issued + SignedDuration::from_secs(life.clamp(1, 1 << 32));
        let granted = status.expiration_timestamp.map_or(asked, |time| time.0);
        Ok(Token {
            text,
            issued,
            expires: granted.min(asked),
        })
    }

    /// Forgets the tokens of a pod that is gone.
    pub(super) fn forget(&self, uid: &str) {
        self.known.lock().retain(|key, _| key.pod != uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_at_four_fifths_of_its_life_or_after_a_day() {
        let issued = Timestamp::UNIX_EPOCH;
        let hour = 3600;
        for (life, age, old) in [
            (hour, hour * 4 / 5 - 1, false),
            (hour, hour * 4 / 5 + 1, true),
            (600, 479, false),
            (600, 481, true),
            (24 * hour, 20 * hour, true),
            (365 * 24 * hour, 24 * hour - 1, false),
            (365 * 24 * hour, 24 * hour + 1, true),
        ] {
            let token = Token {
                text: String::new(),
                issued,
                expires: issued + SignedDuration::from_secs(life),
            };
            let now = issued + SignedDuration::from_secs(age);
            assert_eq!(token.is_old(now), old, "{life} {age}");
        }
    }
}
