//! The controller's loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Change, Informer, Key, Queue};

use crate::context::Context;
use crate::namespaces::{already_exists, is_active};
use crate::pods::namespace_goes;

const NAME: &str = "kube-root-ca.crt";
const FIELD: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
const ABOUT: &str = "CA certificates of the apiserver's own names and addresses inside the cluster";

/// Keeps the config map `kube-root-ca.crt` in every namespace. Without a CA in the options there is nothing to do.
pub async fn root_ca(cx: Context) {
    let Some(ca) = cx.options.root_ca.clone() else {
        return std::future::pending().await;
    };
    let controller = Arc::new(Controller {
        namespaces: cx.informers.of(),
        maps: cx.informers.of(),
        queue: cx.queue("root_ca_cert_publisher"),
        wanted: BTreeMap::from([(FIELD.to_owned(), ca)]),
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    namespaces: Arc<Informer<Namespace>>,
    maps: Arc<Informer<ConfigMap>>,
    queue: Queue<Key>,
    wanted: BTreeMap<String, String>,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        let queue = self.queue.clone();
        self.namespaces.on(move |change| match change {
            Change::Deleted(_) => {}
            change => queue.add(Key::of(change.object().as_ref())),
        });
        let queue = self.queue.clone();
        self.maps.on(move |change| {
            let map = change.object();
            if map.metadata.name.as_deref() == Some(NAME) {
                let namespace = map.metadata.namespace.as_deref().unwrap_or_default();
                queue.add(Key::new("", namespace));
            }
        });
        self.namespaces.synced().await;
        self.maps.synced().await;
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
        let api: Api<ConfigMap> = Api::namespaced(self.cx.client.clone(), &key.name);
        let params = PostParams::default();
        let written = match self.maps.cache().get(&Key::new(&key.name, NAME)) {
            None => api.create(&params, &self.map(ConfigMap::default())).await,
            Some(old) => {
                let new = self.map(ConfigMap::clone(&old));
                if *old == new {
                    return Ok(None);
                }
                api.replace(NAME, &params, &new).await
            }
        };
        match written {
            Err(error) if !already_exists(&error) && !namespace_goes(&error) => Err(error),
            _ => Ok(None),
        }
    }

    fn map(&self, old: ConfigMap) -> ConfigMap {
        let mut map = ConfigMap {
            data: Some(self.wanted.clone()),
            ..old
        };
        map.metadata.name = Some(NAME.to_owned());
        let annotations = map.metadata.annotations.get_or_insert_default();
        // Who has written another text keeps it.
        annotations
            .entry(DESCRIPTION.to_owned())
            .or_insert_with(|| ABOUT.to_owned());
        map
    }
}
