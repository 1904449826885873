//! Keeping one object of a name in every namespace.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Resource};
use mainstay_client::{Informer, Key, Kind, Queue, already_exists};
use serde::Serialize;

use crate::context::Context;
use crate::pods::namespace_goes;

/// What is to be written where the object is as given, or missing; `None` if it is as it should be.
type Wanted<K> = Box<dyn Fn(Option<&K>) -> Option<K> + Send + Sync>;

pub(crate) struct EachNamespace<K> {
    cx: Context,
    name: &'static str,
    wanted: Wanted<K>,
    namespaces: Arc<Informer<Namespace>>,
    objects: Arc<Informer<K>>,
    queue: Queue<Key>,
}

impl<K> EachNamespace<K>
where
    K: Kind + Resource<Scope = NamespaceResourceScope> + Serialize,
{
    /// Keeps the object `name`; `queue` is what the queue is called in the metrics.
    pub(crate) fn new(
        cx: Context,
        queue: &str,
        name: &'static str,
        wanted: impl Fn(Option<&K>) -> Option<K> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            wanted: Box::new(wanted),
            namespaces: cx.informers.of(),
            objects: cx.informers.of(),
            queue: cx.queue(queue),
            cx,
        })
    }

    pub(crate) async fn run(self: Arc<Self>) {
        self.namespaces.names_of(&self.queue, |_| true);
        let (queue, name) = (self.queue.clone(), self.name);
        self.objects.on(move |change| {
            let meta = change.object().meta();
            if meta.name.as_deref() == Some(name) {
                let namespace = meta.namespace.as_deref().unwrap_or_default();
                queue.add(Key::new("", namespace));
            }
        });
        self.namespaces.synced().await;
        self.objects.synced().await;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key.name).await;
        self.queue.work_for(&self, 1, work).await;
    }

    async fn sync(&self, namespace: &str) -> kube::Result<Option<Duration>> {
        let known = self.namespaces.cache().get(&Key::new("", namespace));
        if !known.is_some_and(|namespace| is_active(&namespace)) {
            return Ok(None);
        }
        let old = self.objects.cache().get(&Key::new(namespace, self.name));
        let Some(mut new) = (self.wanted)(old.as_deref()) else {
            return Ok(None);
        };
        let api: Api<K> = Api::namespaced(self.cx.client.clone(), namespace);
        let params = PostParams::default();
        let written = match old {
            Some(_) => api.replace(self.name, &params, &new).await,
            None => {
                new.meta_mut().name = Some(self.name.to_owned());
                api.create(&params, &new).await
            }
        };
        match written {
            Err(error) if !already_exists(&error) && !namespace_goes(&error) => Err(error),
            _ => Ok(None),
        }
    }
}

/// Whether things can be created in it.
fn is_active(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|s| s.phase.as_deref());
    namespace.metadata.deletion_timestamp.is_none() && phase != Some("Terminating")
}
