//! Deletes tokens whose time is over.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use mainstay_client::{Change, Informer, Key, Queue, delete_exactly};

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
        let queue = self.queue.clone();
        self.secrets.on(move |change| match change {
            Change::Deleted(_) => {}
            change if !is_token(change.object()) => {}
            change => queue.add(Key::of(change.object().as_ref())),
        });
        self.secrets.synced().await;
        let this = Arc::clone(&self);
        let work = move |key: Key| {
            let this = Arc::clone(&this);
            async move { this.sync(&key).await }
        };
        self.queue.work(1, work).await;
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
                delete_exactly(&api, secret.as_ref()).await?;
                Ok(None)
            }
        }
    }
}
