//! What runs on a cluster while it is hurt.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use mainstay_tests::wait_until;
use serde_json::json;

use crate::pods::is_ready;
use crate::stack::limits::DONE;
use crate::stack::web::BUSYBOX;
use crate::stack::{Inside, Ledger, Life, Stack, Web, lives};
use crate::world::Scene;

/// Replicas of the web server.
const REPLICAS: usize = 4;

/// A web server on all workers, and on each a pod that asks it by its name.
#[derive(Debug)]
pub struct Ground<'a> {
    pub(super) stack: &'a Stack,
    pub(super) web: Web,
    pub(super) inside: Vec<Inside>,
    books: Scene,
    /// Names that were given so far.
    given: AtomicUsize,
}

impl<'a> Ground<'a> {
    /// Deploys it all, and waits until everybody is answered.
    pub async fn lay(stack: &'a Stack) -> Self {
        stack.nodes_ready().await;
        let scene = stack.scene("faults").await;
        let web = Web::deploy(stack, &scene, REPLICAS).await;
        let mut inside = Vec::new();
        for node in stack.workers().into_keys() {
            let name = format!("inside-{node}");
            let url = "http://web.faults.svc.cluster.local/";
            inside.push(Inside::start(stack, &scene, &node, &name, url).await);
        }
        Self {
            stack,
            web,
            inside,
            books: stack.scene("books").await,
            given: AtomicUsize::new(0),
        }
    }

    /// Makes a cluster whole again, whatever the last fault left. Panics if it cannot be.
    pub async fn heal(&self) {
        self.stack.up_again().await;
        self.stack.masters_ready().await;
        self.stack.nodes_ready().await;
        self.web.until_ready().await;
        for inside in &self.inside {
            inside.is_answered().await;
        }
    }

    /// A writer with names of its own.
    pub(super) async fn ledger(&self, case: &str) -> Ledger {
        let number = self.given.fetch_add(1, Ordering::SeqCst);
        let prefix = format!("{case}-{number}-{}", std::process::id());
        Ledger::start(self.stack, &self.books, &prefix).await
    }

    /// The lives of all pods of the ground and of DNS, once the API tells them.
    pub(super) async fn lives(&self) -> BTreeMap<String, Life> {
        let of_web: Api<Pod> = self.web.scene.api();
        let of_dns: Api<Pod> = Api::namespaced(self.stack.client(), "kube-system");
        let dns = ListParams::default().labels("k8s-app=kube-dns");
        wait_until("the API tells of pods", DONE, async || {
            let mut pods = of_web.list(&ListParams::default()).await.ok()?.items;
            pods.extend(of_dns.list(&dns).await.ok()?.items);
            Some(lives(&pods))
        })
        .await
    }

    /// A new pod comes to run on a node, and goes.
    pub(super) async fn starts_pods(&self, node: &str) {
        let number = self.given.fetch_add(1, Ordering::SeqCst);
        let name = format!("proof-{number}");
        let scene = &self.web.scene;
        let manifest = json!({
            "metadata": {"name": name},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": node}, "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "a", "image": BUSYBOX, "command": ["sleep", "1000000"]}],
            },
        });
        let _: Pod = scene.create(manifest).await;
        let pods = scene.api::<Pod>();
        wait_until(&format!("{node} runs a new pod"), DONE, async || {
            is_ready(&pods.get(&name).await.ok()?).then_some(())
        })
        .await;
        pods.delete(&name, &DeleteParams::default()).await.unwrap();
        wait_until(&format!("{node} ends a pod"), DONE, async || {
            pods.get_opt(&name).await.ok()?.is_none().then_some(())
        })
        .await;
    }
}
