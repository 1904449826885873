//! A store, an apiserver, and namespaces to play in.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use mainstay_tests::Cluster;
use mainstay_tests::apiserver::Apiserver;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// One member, one apiserver, and its administrator.
pub struct World {
    pub cluster: Cluster,
    pub server: Apiserver,
    pub client: Client,
    pub config: Config,
    namespaces: AtomicUsize,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With more flags of the apiserver.
    pub async fn start_with(flags: &[&str]) -> Self {
        let cluster = Cluster::start(1).await;
        let server = Apiserver::start_with(&cluster, None, flags).await;
        let file = Kubeconfig::read_from(server.kubeconfig()).unwrap();
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(file, &options)
            .await
            .unwrap();
        // Faults are to be seen, not waited for.
        config.default_retry = false;
        Self {
            client: Client::try_from(config.clone()).unwrap(),
            cluster,
            server,
            config,
            namespaces: AtomicUsize::new(0),
        }
    }

    /// Another server of the same cluster, which knows users by tokens as well: each a line of a file in `dir`, as
    /// `token,user,uid,groups`.
    pub async fn server_with_tokens(&self, dir: &Path, tokens: &str) -> Apiserver {
        let path = dir.join("tokens.csv");
        std::fs::write(&path, tokens).unwrap();
        let flag = format!("--token-auth-file={}", path.display());
        Apiserver::start_with(&self.cluster, Some(self.server.pki()), &[&flag]).await
    }

    /// A namespace of its own.
    pub async fn scene(&self) -> Scene {
        let number = self.namespaces.fetch_add(1, Ordering::SeqCst);
        let namespace = format!("scene-{number}");
        let object = json!({"metadata": {"name": namespace}});
        let api: Api<Namespace> = Api::all(self.client.clone());
        let object = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        let scene = Scene {
            client: self.client.clone(),
            namespace: Arc::from(namespace),
        };
        // Its controller is not among those under test, or it was faster.
        let account = json!({"metadata": {"name": "default"}});
        let account: ServiceAccount = serde_json::from_value(account).unwrap();
        let accounts = scene.api::<ServiceAccount>();
        match accounts.create(&PostParams::default(), &account).await {
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
            created => drop(created.unwrap()),
        }
        scene
    }
}

/// One namespace as its administrator sees it.
#[derive(Clone)]
pub struct Scene {
    pub client: Client,
    pub namespace: Arc<str>,
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scene({})", self.namespace)
    }
}

impl Scene {
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an object from its manifest.
    pub async fn create<K>(&self, manifest: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(manifest).unwrap();
        let api = self.api::<K>();
        api.create(&PostParams::default(), &object).await.unwrap()
    }

    /// Merges `patch` into an object.
    pub async fn patch<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + fmt::Debug
            + DeserializeOwned,
    {
        let patch = Patch::Merge(patch);
        let params = PatchParams::default();
        self.api::<K>().patch(name, &params, &patch).await.unwrap()
    }

    /// All objects of a kind.
    pub async fn list<K>(&self) -> Vec<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + fmt::Debug
            + DeserializeOwned,
    {
        let api = self.api::<K>();
        api.list(&ListParams::default()).await.unwrap().items
    }

    /// Pods that are not being deleted.
    pub async fn live_pods(&self) -> Vec<Pod> {
        let mut pods = self.list::<Pod>().await;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods
    }

    /// Plays the kubelet for one pod: it runs, and is ready or not.
    pub async fn runs(&self, pod: &Pod, ready: bool) {
        let status = if ready { "True" } else { "False" };
        let now = k8s_openapi::jiff::Timestamp::now();
        let seconds = now.round(k8s_openapi::jiff::Unit::Second).unwrap();
        let patch = json!({"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": status, "lastTransitionTime": seconds.to_string()},
        ]}});
        self.pod_status(pod, patch).await;
    }

    /// Plays the kubelet for one pod: it has come to its end.
    pub async fn finishes(&self, pod: &Pod, phase: &str) {
        self.pod_status(pod, json!({"status": {"phase": phase}}))
            .await;
    }

    /// Merges what a kubelet would tell into a pod; one that is gone is told nothing.
    pub async fn pod_status(&self, pod: &Pod, patch: Value) {
        let name = pod.metadata.name.as_deref().unwrap();
        let patch = Patch::Merge(patch);
        let params = PatchParams::default();
        let answer = self.api::<Pod>().patch_status(name, &params, &patch).await;
        match answer {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("status of {name}: {error}"),
        }
    }
}
