//! Which tokens that live in secrets are used: a label of the secret has the day, so that those which nobody uses can
//! be found (kube-controller-manager's legacy-serviceaccount-token-cleaner looks at it).

use std::collections::HashMap;
use std::sync::Arc;

use mainstay_kinds::Part;
use mainstay_machinery::status::StatusError;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::write::{Rules, change, resource};
use crate::limits::LEGACY_USES_MAX;
use crate::registry::Registry;

const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
/// Characters of a day, as in `2026-01-31`.
const DAY: usize = 10;

/// Namespace and name of a secret.
type Secret = (String, String);

/// What this server has noted. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct LegacyUses {
    /// The day of the last note for each.
    noted: Arc<Mutex<HashMap<Secret, String>>>,
}

impl LegacyUses {
    /// A token was used: written down once a day, aside from the request.
    pub(crate) fn note(&self, registry: Arc<Registry>, secret: &Secret) {
        let mut today = crate::registry::now();
        today.truncate(DAY);
        let mut noted = self.noted.lock();
        if noted.get(secret) == Some(&today) {
            return;
        }
        if noted.len() >= LEGACY_USES_MAX {
            noted.clear();
        }
        noted.insert(secret.clone(), today.clone());
        drop(noted);
        let (this, secret) = (self.clone(), secret.clone());
        tokio::spawn(async move {
            if let Err(e) = write(&registry, &secret, &today).await {
                tracing::warn!(
                    "the use of secret {}/{} was not noted: {e}",
                    secret.0,
                    secret.1
                );
                this.noted.lock().remove(&secret);
            }
        });
    }
}

async fn write(registry: &Registry, secret: &Secret, today: &str) -> Result<(), StatusError> {
    let used = |object: Option<&Value>| {
        let mut object = object.cloned().unwrap_or_default();
        let labels = &mut object["metadata"]["labels"];
        if !labels.is_object() {
            *labels = json!({});
        }
        labels[LAST_USED] = today.into();
        Ok(object)
    };
    let (namespace, name) = (secret.0.as_str(), secret.1.as_str());
    let secrets = resource("", "secrets")?;
    change(
        registry,
        secrets,
        (namespace, name),
        Part::Main,
        Rules::Anew,
        &used,
    )
    .await
}
