//! The controller's loop.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Change, Informer, Key, Queue};

use crate::context::Context;
use crate::namespaces::{already_exists, is_active};
use crate::pods::namespace_goes;

const NAME: &str = "default";

/// Creates the account `default` wherever it is missing.
pub async fn service_accounts(cx: Context) {
    let controller = Arc::new(Controller {
        namespaces: cx.informers.of(),
        accounts: cx.informers.of(),
        queue: cx.queue("serviceaccount"),
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    namespaces: Arc<Informer<Namespace>>,
    accounts: Arc<Informer<ServiceAccount>>,
    queue: Queue<Key>,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        let queue = self.queue.clone();
        self.namespaces.on(move |change| match change {
            Change::Deleted(_) => {}
            change => queue.add(Key::of(change.object().as_ref())),
        });
        let queue = self.queue.clone();
        self.accounts.on(move |change| {
            if let Change::Deleted(account) = change
                && account.metadata.name.as_deref() == Some(NAME)
            {
                let namespace = account.metadata.namespace.as_deref().unwrap_or_default();
                queue.add(Key::new("", namespace));
            }
        });
        self.namespaces.synced().await;
        self.accounts.synced().await;
        let this = Arc::clone(&self);
        let work = move |key: Key| {
            let this = Arc::clone(&this);
            async move { this.sync(&key).await }
        };
        self.queue.work(1, work).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let namespace = self.namespaces.cache().get(key);
        if !namespace.is_some_and(|namespace| is_active(&namespace)) {
            return Ok(None);
        }
        let known = self.accounts.cache().get(&Key::new(&key.name, NAME));
        if known.is_some() {
            return Ok(None);
        }
        let api: Api<ServiceAccount> = Api::namespaced(self.cx.client.clone(), &key.name);
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(NAME.to_owned());
        match api.create(&PostParams::default(), &account).await {
            Err(error) if !already_exists(&error) && !namespace_goes(&error) => Err(error),
            _ => Ok(None),
        }
    }
}
