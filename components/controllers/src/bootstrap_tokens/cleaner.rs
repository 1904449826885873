//! Deletes tokens whose time is over.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use mainstay_client::{Informer, Key, Queue, delete_unchanged};

use super::secret::{End, end, is_token};
use crate::context::Context;

/// Deletes bootstrap tokens at the end of their time.
pub async fn bootstrap_token_cleaner(cx: Context) {
    let controller = Arc::new(Controller {
        secrets: cx.informers.of(),
        queue: cx.queue("token_cleaner"),
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    secrets: Arc<Informer<Secret>>,
    queue: Queue<Key>,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        self.secrets.names_of(&self.queue, is_token);
        self.secrets.synced().await;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, 1, work).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let secret = self.secrets.cache().get(key);
        let Some(secret) = secret.filter(|secret| is_token(secret)) else {
            return Ok(None);
        };
        match end(&secret, Timestamp::now()) {
            End::Never => Ok(None),
            End::In(rest) => Ok(Some(rest)),
            End::Past => {
                let api: Api<Secret> = Api::namespaced(self.cx.client.clone(), &key.namespace);
                // It may have been given more time; then an event brings it here again.
                delete_unchanged(&api, secret.as_ref(), DeleteParams::default()).await?;
                Ok(None)
            }
        }
    }
}
