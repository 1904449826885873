//! The controller's loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use mainstay_auth::node::{ObjectKind, pod_references};
use mainstay_client::{Informer, Key, Queue, delete_unchanged, unless_stale};
use serde_json::json;

use super::verdict::{INVALID_SINCE, Verdict, before, day, judge};
use crate::context::Context;

const NAMESPACE: &str = "kube-system";
const TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";
const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

/// Looks once a day for tokens that nobody uses.
pub async fn legacy_token_cleaner(cx: Context) {
    let controller = Arc::new(Controller {
        secrets: cx.informers.of(),
        accounts: cx.informers.of(),
        pods: cx.informers.of(),
        queue: cx.queue("legacy_service_account_token_cleaner"),
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    secrets: Arc<Informer<Secret>>,
    accounts: Arc<Informer<ServiceAccount>>,
    pods: Arc<Informer<Pod>>,
    /// Holds one name, that of the record since when uses are known.
    queue: Queue<Key>,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        self.secrets.synced().await;
        self.accounts.synced().await;
        self.pods.synced().await;
        self.queue.add(Key::new(NAMESPACE, TRACKING));
        let look = async |this: Arc<Self>, _: Key| this.look().await;
        self.queue.work_for(&self, 1, look).await;
    }

    async fn look(&self) -> kube::Result<Option<Duration>> {
        let now = Timestamp::now();
        let again = self.cx.options.legacy_service_account_token_period;
        let period = self.cx.options.legacy_service_account_token_clean_up_period;
        let tracked = self.tracked_since().await?;
        if tracked.is_none_or(|tracked| tracked > before(now, period)) {
            return Ok(Some(again));
        }
        let mut mounted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for secret in self.secrets.cache().all() {
            let account = self.account_of(&secret);
            // Most secrets are none of these: pods are looked at only for those that would go.
            let none = BTreeSet::new();
            if judge(&secret, account.as_deref(), &none, now, period) == Verdict::Keep {
                continue;
            }
            let namespace = secret.metadata.namespace.clone().unwrap_or_default();
            let used = mounted
                .entry(namespace)
                .or_insert_with_key(|namespace| self.mounted(namespace));
            let done = match judge(&secret, account.as_deref(), used, now, period) {
                Verdict::Keep => Ok(()),
                Verdict::Close => self.close(&secret, day(now)).await,
                Verdict::Delete => self.delete(&secret).await,
            };
            if let Err(error) = done {
                tracing::warn!("{}: {error}", Key::of(secret.as_ref()));
            }
        }
        Ok(Some(again))
    }

    /// The moment from which on no use went unrecorded; `None` if none is told.
    async fn tracked_since(&self) -> kube::Result<Option<Timestamp>> {
        let api: Api<ConfigMap> = Api::namespaced(self.cx.client.clone(), NAMESPACE);
        let Some(map) = api.get_opt(TRACKING).await? else {
            return Ok(None);
        };
        let since = map.data.as_ref().and_then(|data| data.get("since"));
        let since = since.and_then(|since| since.parse::<Date>().ok());
        // Some time on that day.
        let next = since.and_then(|since| since.checked_add(1.day()).ok());
        let next = next.and_then(|next| next.to_zoned(TimeZone::UTC).ok());
        Ok(next.map(|next| next.timestamp()))
    }

    fn account_of(&self, secret: &Secret) -> Option<Arc<ServiceAccount>> {
        let annotations = secret.metadata.annotations.as_ref()?;
        let namespace = secret.metadata.namespace.as_deref()?;
        let account = self
            .accounts
            .cache()
            .get(&Key::new(namespace, annotations.get(NAME)?))?;
        let uid = annotations.get(UID).filter(|uid| !uid.is_empty());
        uid.is_none_or(|uid| account.metadata.uid.as_ref() == Some(uid))
            .then_some(account)
    }

    /// Secrets that pods of a namespace refer to in any way.
    fn mounted(&self, namespace: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for pod in self.pods.cache().in_namespace(namespace) {
            let pod = serde_json::to_value(pod.as_ref()).unwrap_or_default();
            let references = pod_references(&pod).into_iter();
            names.extend(
                references
                    .filter(|(kind, _)| *kind == ObjectKind::Secret)
                    .map(|(_, name)| name),
            );
        }
        names
    }

    /// Only in the state that was judged: it may have been used since, and would be refused from now on.
    async fn close(&self, secret: &Secret, today: Date) -> kube::Result<()> {
        let patch = Patch::Merge(json!({"metadata": {
            "uid": secret.metadata.uid,
            "resourceVersion": secret.metadata.resource_version,
            "labels": {INVALID_SINCE: today.to_string()},
        }}));
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let written = self
            .api(secret)
            .patch(name, &PatchParams::default(), &patch)
            .await;
        unless_stale(written).map(drop)
    }

    /// Only in the state that was judged, as well.
    async fn delete(&self, secret: &Secret) -> kube::Result<()> {
        delete_unchanged(&self.api(secret), secret, DeleteParams::default()).await?;
        Ok(())
    }

    fn api(&self, secret: &Secret) -> Api<Secret> {
        let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.cx.client.clone(), namespace)
    }
}
