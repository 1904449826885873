//! The controller's loop.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Informer, Key, Queue};

use super::conditions::Found;
use super::content::Sweep;
use crate::context::Context;
use crate::discovery::{ServedResources, is_absent};
use crate::pods::reason;

/// What this controller removes from a namespace when nothing is left in it.
const FINALIZER: &str = "kubernetes";

/// Empties namespaces that are being deleted, and lets them go then.
pub async fn namespaces(cx: Context) {
    Controller::new(cx).run().await;
}

/// Why a namespace is not empty yet.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Server(#[from] kube::Error),
    #[error("content could not be deleted: {0}")]
    Content(String),
}

struct Controller {
    cx: Context,
    namespaces: Arc<Informer<Namespace>>,
    queue: Queue<Key>,
    served: ServedResources,
}

impl Controller {
    fn new(cx: Context) -> Arc<Self> {
        Arc::new(Self {
            namespaces: cx.informers.of(),
            queue: cx.queue("namespace"),
            served: ServedResources::default(),
            cx,
        })
    }

    async fn run(self: Arc<Self>) {
        let queue = self.queue.clone();
        let pause = self.cx.options.namespace_deletion_pause;
        self.namespaces.on(move |change| {
            let namespace = change.object();
            if namespace.metadata.deletion_timestamp.is_some() {
                // Until all servers know that nothing can be created in it any more.
                queue.add_after(Key::of(namespace.as_ref()), pause);
            }
        });
        self.namespaces.synced().await;
        let workers = self.cx.options.concurrent_namespace_syncs;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key.name).await;
        self.queue.work_for(&self, workers, work).await;
    }

    async fn sync(&self, name: &str) -> Result<Option<Duration>, Failed> {
        let api: Api<Namespace> = Api::all(self.cx.client.clone());
        // As the server has it now: what is deleted here does not come back.
        let Some(namespace) = api.get_opt(name).await? else {
            return Ok(None);
        };
        let Some(begun) = namespace.metadata.deletion_timestamp.clone() else {
            return Ok(None);
        };
        if finalizers(&namespace).is_empty() {
            return Ok(None);
        }
        let mut sweep = Sweep {
            client: &self.cx.client,
            namespace: name,
            since: Timestamp::now().duration_since(begun.0).as_secs(),
            found: Found::default(),
            estimate: 0,
        };
        // Asked each time: a kind that is not known would be left behind.
        let discovered = self.served.refresh(&self.cx.client).await;
        if let Err(error) = &discovered {
            sweep.found.discovery = Some(reason(error));
        }
        sweep.run(&self.served.all()).await;
        let Sweep {
            found, estimate, ..
        } = sweep;
        let namespace = self.tell(&api, namespace, &found).await?;
        discovered?;
        if !found.errors.is_empty() {
            return Err(Failed::Content(found.errors.join(", ")));
        }
        if !found.remaining.is_empty() {
            let half = u64::try_from(estimate / 2).unwrap_or(0);
            return Ok(Some(Duration::from_secs(half + 1)));
        }
        self.finalize(&api, namespace).await?;
        Ok(None)
    }

    /// Writes the status if it is another one.
    async fn tell(
        &self,
        api: &Api<Namespace>,
        namespace: Namespace,
        found: &Found,
    ) -> Result<Namespace, Failed> {
        let old = namespace.status.clone().unwrap_or_default();
        let conditions = old.conditions.as_deref().unwrap_or_default();
        let new = NamespaceStatus {
            phase: Some("Terminating".to_owned()),
            conditions: Some(found.conditions(conditions, Timestamp::now())),
        };
        if old == new {
            return Ok(namespace);
        }
        let name = namespace.metadata.name.clone().unwrap_or_default();
        let told = Namespace {
            status: Some(new),
            ..namespace
        };
        let params = PostParams::default();
        Ok(api.replace_status(&name, &params, &told).await?)
    }

    async fn finalize(&self, api: &Api<Namespace>, mut namespace: Namespace) -> Result<(), Failed> {
        let mut rest = finalizers(&namespace).to_vec();
        rest.retain(|own| own != FINALIZER);
        if rest.len() == finalizers(&namespace).len() {
            return Ok(());
        }
        namespace.spec.get_or_insert_default().finalizers = Some(rest);
        let name = namespace.metadata.name.clone().unwrap_or_default();
        let params = PostParams::default();
        // With its resourceVersion: it is the one whose content has gone.
        let finalized: kube::Result<Namespace> = api
            .replace_subresource("finalize", &name, &params, &namespace)
            .await;
        match finalized {
            Err(error) if !is_absent(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn finalizers(namespace: &Namespace) -> &[String] {
    let spec = namespace.spec.as_ref();
    spec.and_then(|spec| spec.finalizers.as_deref())
        .unwrap_or_default()
}
