//! Signs the config map `cluster-info` with every token that may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Informer, Key, Queue, unless_gone};

use super::secret::{End, NAMESPACE, end, is_token, signing};
use super::signature::detached;
use crate::context::Context;

const PUBLIC: &str = "kube-public";
const NAME: &str = "cluster-info";
const CONTENT: &str = "kubeconfig";
const SIGNATURE: &str = "jws-kubeconfig-";

/// Keeps the signatures in `kube-public/cluster-info`, by which who has a token knows that it is not forged.
pub async fn bootstrap_signer(cx: Context) {
    let controller = Arc::new(Controller {
        maps: cx.informers.of(),
        secrets: cx.informers.of(),
        queue: cx.queue("bootstrap_signer_queue"),
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    maps: Arc<Informer<ConfigMap>>,
    secrets: Arc<Informer<Secret>>,
    queue: Queue<Key>,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        let signed = Key::new(PUBLIC, NAME);
        let (queue, key) = (self.queue.clone(), signed.clone());
        self.maps.on(move |change| {
            if Key::of(change.object().as_ref()) == key {
                queue.add(key.clone());
            }
        });
        let queue = self.queue.clone();
        self.secrets.on(move |change| {
            if is_token(change.object()) {
                queue.add(signed.clone());
            }
        });
        self.maps.synced().await;
        self.secrets.synced().await;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, 1, work).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let Some(map) = self.maps.cache().get(key) else {
            return Ok(None);
        };
        let now = Timestamp::now();
        let mut secrets = self.secrets.cache().in_namespace(NAMESPACE);
        secrets.retain(|secret| is_token(secret));
        let Some(data) = signed(&map, &secrets, now) else {
            return Ok(None);
        };
        if map.data.as_ref() != Some(&data) {
            let mut whole = ConfigMap::clone(&map);
            whole.data = Some(data);
            let api: Api<ConfigMap> = Api::namespaced(self.cx.client.clone(), PUBLIC);
            let written = api.replace(NAME, &PostParams::default(), &whole).await;
            if unless_gone(written)?.is_none() {
                return Ok(None);
            }
        }
        // A token that ends takes its signature with it, whether it is deleted or not.
        let ends = secrets.iter().filter_map(|secret| match end(secret, now) {
            End::In(rest) => Some(rest),
            _ => None,
        });
        Ok(ends.min())
    }
}

/// The data with all signatures and no others; `None` if there is nothing to sign.
fn signed(
    map: &ConfigMap,
    secrets: &[Arc<Secret>],
    now: Timestamp,
) -> Option<BTreeMap<String, String>> {
    let mut data = map.data.clone()?;
    let content = data.get(CONTENT)?.clone();
    data.retain(|name, _| !name.starts_with(SIGNATURE));
    for (id, secret) in secrets.iter().filter_map(|secret| signing(secret, now)) {
        data.insert(format!("{SIGNATURE}{id}"), detached(&content, id, secret));
    }
    Some(data)
}
