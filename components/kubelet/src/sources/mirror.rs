//! Mirror pods: what the apiserver shows of static ones.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client};
use mainstay_client::{Informer, Key};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::api::is_mirror;
use crate::limits::{MIRROR_INTERVAL, MIRROR_RETRY};
use crate::report::{MIRROR, Statuses};

/// Keeps a mirror of every static pod. Cheap to clone.
#[derive(Clone)]
pub struct Mirrors {
    client: Client,
    node: Arc<str>,
    pods: Arc<Informer<Pod>>,
    statuses: Statuses,
    shown: Arc<Mutex<Shown>>,
    again: Arc<Notify>,
}

/// All static pods.
#[derive(Default)]
struct Shown {
    files: Vec<Arc<Pod>>,
    server: Vec<Arc<Pod>>,
}

impl fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirrors")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Mirrors {
    pub fn new(client: Client, node: &str, pods: Arc<Informer<Pod>>, statuses: Statuses) -> Self {
        Self {
            client,
            node: Arc::from(node),
            pods,
            statuses,
            shown: Arc::default(),
            again: Arc::default(),
        }
    }

    /// These are all static pods of the folder.
    pub fn set_files(&self, pods: Vec<Arc<Pod>>) {
        self.shown.lock().files = pods;
        self.look();
    }

    /// These are all static pods of the server.
    pub fn set_server(&self, pods: Vec<Arc<Pod>>) {
        self.shown.lock().server = pods;
        self.look();
    }

    /// Something has happened to a mirror: it may be there only now, and what it shows is to be told.
    pub fn seen(&self, mirror: &Pod) {
        let marks = mirror.metadata.annotations.as_ref();
        if let Some(uid) = marks.and_then(|marks| marks.get(MIRROR)) {
            self.statuses.changed(uid);
        }
        self.look();
    }

    fn look(&self) {
        self.again.notify_one();
    }

    /// Until it is dropped.
    pub async fn run(self) {
        self.pods.synced().await;
        loop {
            let pause = match self.round().await {
                Ok(()) => MIRROR_INTERVAL,
                Err(error) => {
                    tracing::warn!("mirror pods: {error}");
                    tokio::time::sleep(MIRROR_RETRY).await;
                    Duration::ZERO
                }
            };
            // Either way it is time to look again.
            let _ = timeout(pause, self.again.notified()).await;
        }
    }

    async fn round(&self) -> Result<(), kube::Error> {
        let shown: Vec<Arc<Pod>> = {
            let shown = self.shown.lock();
            shown.files.iter().chain(&shown.server).cloned().collect()
        };
        for pod in &shown {
            self.show(pod).await?;
        }
        for mirror in self.pods.cache().all() {
            let key = Key::of(mirror.as_ref());
            let wanted = shown.iter().any(|pod| Key::of(pod.as_ref()) == key);
            if is_mirror(&mirror) && !wanted {
                self.delete(&mirror).await?;
            }
        }
        Ok(())
    }

    /// One mirror for one pod; one that shows something else makes room.
    async fn show(&self, pod: &Pod) -> Result<(), kube::Error> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        if let Some(mirror) = self.pods.cache().get(&Key::of(pod)) {
            let marks = mirror.metadata.annotations.as_ref();
            let shows = marks.and_then(|marks| marks.get(MIRROR)) == Some(&uid);
            if shows && mirror.metadata.deletion_timestamp.is_none() {
                return Ok(());
            }
            if !is_mirror(&mirror) {
                tracing::warn!("there is another pod of this name: {}", Key::of(pod));
                return Ok(());
            }
            self.delete(&mirror).await?;
        }
        let Some(owner) = self.owner().await? else {
            return Ok(());
        };
        let mut mirror = pod.clone();
        mirror.metadata.uid = None;
        mirror.status = None;
        mirror.metadata.owner_references = Some(vec![owner]);
        let marks = mirror.metadata.annotations.get_or_insert_default();
        marks.insert(MIRROR.to_owned(), uid);
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        match api.create(&PostParams::default(), &mirror).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            made => drop(made?),
        }
        Ok(())
    }

    async fn delete(&self, mirror: &Pod) -> Result<(), kube::Error> {
        let meta = &mirror.metadata;
        let namespace = meta.namespace.as_deref().unwrap_or("default");
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: meta.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match api
            .delete(meta.name.as_deref().unwrap_or_default(), &params)
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    /// A mirror goes with its node.
    async fn owner(&self) -> Result<Option<OwnerReference>, kube::Error> {
        let api: Api<Node> = Api::all(self.client.clone());
        let node = api.get_opt(&self.node).await?;
        Ok(node
            .and_then(|node| node.metadata.uid)
            .map(|uid| OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: self.node.to_string(),
                uid,
                controller: Some(true),
                ..OwnerReference::default()
            }))
    }
}
