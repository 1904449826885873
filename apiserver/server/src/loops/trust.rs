//! Two config maps of `kube-system` by which upstream's servers tell what others must know: whose certificates are
//! clients' (`extension-apiserver-authentication`), and since when the use of old tokens is recorded.

use std::sync::Arc;

use mainstay_kinds::Part;
use mainstay_machinery::status::StatusError;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::write::{Rules, change, ensure, resource};
use crate::limits::TRUST_EVERY;
use crate::registry::Registry;
use crate::tls::Tls;

const NAMESPACE: &str = "kube-system";
const AUTHENTICATION: &str = "extension-apiserver-authentication";
const AUTHORITIES: &str = "client-ca-file";
const TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";
/// Characters of a day, as in `2026-01-31`.
const DAY: usize = 10;

/// Keeps both for as long as the server runs; others may change or delete them.
pub(crate) async fn publish_trust(registry: Arc<Registry>, tls: Arc<Tls>) {
    let mut ending = registry.ending.clone();
    loop {
        if let Err(e) = publish(&registry, &tls).await {
            tracing::warn!("the authorities of clients could not be published: {e}");
        }
        tokio::select! {
            () = sleep(TRUST_EVERY) => {}
            _ = ending.changed() => return,
        }
    }
}

async fn publish(registry: &Registry, tls: &Tls) -> Result<(), StatusError> {
    let own = tls.client_authorities();
    let day = crate::registry::now();
    let config_map = |name: &str, key: &str, value: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "data": { key: value },
        })
    };
    let tracking = config_map(TRACKING, "since", &day[..DAY.min(day.len())]);
    ensure(registry, resource("", "configmaps")?, tracking).await?;
    let wanted = config_map(AUTHENTICATION, AUTHORITIES, &own);
    ensure(registry, resource("", "configmaps")?, wanted).await?;
    complete(registry, &own).await
}

/// Adds this server's authorities to those of other servers, unless they are there.
async fn complete(registry: &Registry, own: &str) -> Result<(), StatusError> {
    let resource = resource("", "configmaps")?;
    let known = registry.find(resource, NAMESPACE, AUTHENTICATION).await?;
    if known.is_some_and(|known| has(&known, own)) {
        return Ok(());
    }
    let add = |current: Option<&Value>| {
        let mut object = current.cloned().unwrap_or_default();
        if !has(&object, own) {
            let text = joined(authorities(&object), own);
            object["data"][AUTHORITIES] = text.into();
        }
        Ok(object)
    };
    let place = (NAMESPACE, AUTHENTICATION);
    change(registry, resource, place, Part::Main, Rules::Anew, &add).await
}

fn authorities(object: &Value) -> &str {
    object["data"][AUTHORITIES].as_str().unwrap_or_default()
}

fn has(object: &Value, own: &str) -> bool {
    authorities(object).contains(own.trim())
}

fn joined(others: &str, own: &str) -> String {
    match others.trim_end() {
        "" => own.to_owned(),
        others => format!("{others}\n{own}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_of_several_servers_stand_side_by_side() {
        let object = |text: &str| json!({ "data": { AUTHORITIES: text } });
        assert!(has(&object("A\nB\n"), "B\n"));
        assert!(!has(&object("A\n"), "B\n"));
        assert!(!has(&json!({}), "B\n"));
        assert_eq!(joined("A\n", "B\n"), "A\nB\n");
        assert_eq!(joined("", "B\n"), "B\n");
    }
}
