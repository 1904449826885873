//! Deletes requests that nobody will look at any more.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use kube::api::DeleteParams;
use mainstay_client::{Informer, Key, Queue, delete_unchanged};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::authority::certificates;
use super::conditions::{conditions, issued};
use crate::context::Context;
use crate::limits::{CSR_DECIDED_AGE_MAX, CSR_PENDING_AGE_MAX};

/// Deletes requests when they are old: an hour after they were answered, a day after they were not.
pub async fn clean_certificates(cx: Context) {
    let controller = Arc::new(Controller {
        requests: cx.informers.of(),
        queue: cx.queue("certificate_cleaning"),
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    requests: Arc<Informer<CertificateSigningRequest>>,
    queue: Queue<Key>,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        self.requests.names_of(&self.queue, |_| true);
        self.requests.synced().await;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, 1, work).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let Some(request) = self.requests.cache().get(key) else {
            return Ok(None);
        };
        let Some(due) = due(&request) else {
            return Ok(None);
        };
        let rest = due.duration_since(Timestamp::now());
        if let Ok(rest) = Duration::try_from(rest)
            && !rest.is_zero()
        {
            return Ok(Some(rest));
        }
        let api: Api<CertificateSigningRequest> = Api::all(self.cx.client.clone());
        // It may have been answered just now; then an event brings it here again.
        if delete_unchanged(&api, request.as_ref(), DeleteParams::default()).await? {
            tracing::info!("{key} was deleted: it is old");
        }
        Ok(None)
    }
}

/// When a request is to be deleted, if it stays as it is.
fn due(request: &CertificateSigningRequest) -> Option<Timestamp> {
    let after = |since: Timestamp, age: Duration| {
        let age = SignedDuration::try_from(age).ok()?;
        since.checked_add(age).ok()
    };
    let issued = issued(request);
    let conditions = conditions(request);
    if conditions.is_empty() {
        let created = request.metadata.creation_timestamp.as_ref()?;
        return after(created.0, CSR_PENDING_AGE_MAX);
    }
    let decided = conditions.iter().filter_map(|condition| {
        let age = match (condition.type_.as_str(), issued) {
            ("Denied" | "Failed", _) | ("Approved", Some(_)) => CSR_DECIDED_AGE_MAX,
            ("Approved", None) => CSR_PENDING_AGE_MAX,
            _ => return None,
        };
        after(condition.last_update_time.as_ref()?.0, age)
    });
    let approved = conditions.iter().any(|one| one.type_ == "Approved");
    let expires = issued.filter(|_| approved).and_then(expiry);
    decided.chain(expires).min()
}

/// When the first certificate of a PEM file is no longer valid.
fn expiry(pem: &[u8]) -> Option<Timestamp> {
    let first = certificates(pem).into_iter().next()?;
    let (_, certificate) = X509Certificate::from_der(&first).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use serde_json::{Value, json};

    fn short_lived() -> String {
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2026, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        base64::engine::general_purpose::STANDARD.encode(pem)
    }

    #[test]
    fn requests_go_an_hour_after_an_answer_and_a_day_without() {
        let condition = |type_: &str| {
            json!([{
                "type": type_, "status": "True", "lastUpdateTime": "2026-01-10T00:00:00Z",
            }])
        };
        let cert = json!("bm90IGEgY2VydGlmaWNhdGU=");
        let expired = json!(short_lived());
        for (conditions, certificate, due_at) in [
            (json!([]), Value::Null, Some("2026-01-02T00:00:00Z")),
            (
                condition("Approved"),
                Value::Null,
                Some("2026-01-11T00:00:00Z"),
            ),
            (condition("Approved"), cert, Some("2026-01-10T01:00:00Z")),
            (condition("Approved"), expired, Some("2026-01-01T00:00:00Z")),
            (
                condition("Denied"),
                Value::Null,
                Some("2026-01-10T01:00:00Z"),
            ),
            (
                condition("Failed"),
                Value::Null,
                Some("2026-01-10T01:00:00Z"),
            ),
            (condition("Other"), Value::Null, None),
        ] {
            let request = json!({
                "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"request": "", "signerName": "a/b"},
                "status": {"conditions": conditions, "certificate": certificate},
            });
            let parsed = serde_json::from_value(request.clone()).expect("a request");
            let expected = due_at.map(|due| due.parse::<Timestamp>().expect("a time"));
            assert_eq!(due(&parsed), expected, "{request}");
        }
    }
}
