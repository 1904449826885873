//! A web server as people deploy one: replicas on different nodes, probes, time to say goodbye, and a service.

use std::net::SocketAddr;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{ListParams, Patch, PatchParams};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use super::cluster::Stack;
use super::limits::{DONE, TOLERATION_SECONDS};
use crate::pods::is_ready;
use crate::world::Scene;

/// The only image that is on every worker of a cluster of the launcher.
pub const BUSYBOX: &str = "mainstay.io/busybox:local";
/// Answers with the pod's name and a version. As the first process of its namespace it must say what ends it.
const SERVE: &str = r#"mkdir -p /www && echo "$(hostname) $VERSION" > /www/index.html
trap 'kill $server; exit 0' TERM
httpd -f -p 8080 -h /www & server=$!
wait $server"#;

/// A deployment `web` and its service `web`, port 80, which is also a node port.
#[derive(Debug)]
pub struct Web {
    pub scene: Scene,
    pub node_port: u16,
    pub cluster_address: String,
    replicas: usize,
    workers: Vec<String>,
}

impl Web {
    /// Makes them and waits until all replicas are ready.
    pub async fn deploy(stack: &Stack, scene: &Scene, replicas: usize) -> Self {
        let _: Deployment = scene.create(deployment(replicas)).await;
        let service: Service = scene
            .create(json!({
                "metadata": {"name": "web"},
                "spec": {"type": "NodePort", "selector": {"app": "web"},
                    "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
            }))
            .await;
        let spec = service.spec.unwrap();
        let port = spec.ports.unwrap()[0].node_port.unwrap();
        let web = Self {
            scene: scene.clone(),
            node_port: u16::try_from(port).unwrap(),
            cluster_address: spec.cluster_ip.unwrap(),
            replicas,
            workers: stack.workers().into_values().collect(),
        };
        web.until_ready().await;
        web
    }

    /// Where it can be asked from outside: on every worker.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let each = self.workers.iter();
        each.map(|worker| self.address(worker)).collect()
    }

    /// Where it can be asked through one worker, which is given by its address.
    #[must_use]
    pub fn address(&self, worker: &str) -> SocketAddr {
        format!("{worker}:{}", self.node_port).parse().unwrap()
    }

    /// All its pods, if as many as wanted are ready and none is on its way out.
    pub async fn ready(&self) -> Option<Vec<Pod>> {
        let pods = self.pods().await.ok()?;
        let all = pods.len() == self.replicas && pods.iter().all(is_ready);
        all.then_some(pods)
    }

    /// The same, waited for.
    pub async fn until_ready(&self) -> Vec<Pod> {
        let what = format!("{} replicas are ready", self.replicas);
        wait_until(&what, DONE, async || self.ready().await).await
    }

    /// Its pods that are not being deleted.
    pub async fn pods(&self) -> kube::Result<Vec<Pod>> {
        let api = self.scene.api::<Pod>();
        let mut pods = api.list(&ListParams::default().labels("app=web")).await?;
        pods.items
            .retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods.items)
    }

    /// Rolls out another version.
    pub async fn update(&self, version: &str) {
        let container = json!({"name": "web", "env": [{"name": "VERSION", "value": version}]});
        let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
        let api = self.scene.api::<Deployment>();
        let patch = Patch::Strategic(patch);
        let done = api.patch("web", &PatchParams::default(), &patch).await;
        done.unwrap();
    }
}

/// Replicas prefer different nodes, are gone from the service before they end, and leave lost nodes soon.
fn deployment(replicas: usize) -> Value {
    let labels = json!({"app": "web"});
    let container = json!({
        "name": "web", "image": BUSYBOX, "command": ["sh", "-c", SERVE],
        "env": [{"name": "VERSION", "value": "v1"}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}},
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/", "port": "http"},
            "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "3"]}}},
    });
    json!({
        "metadata": {"name": "web", "labels": labels},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": {
                "terminationGracePeriodSeconds": 10, "containers": [container],
                "tolerations": tolerations(),
                "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
                    "weight": 100, "podAffinityTerm": {
                        "labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname",
                    },
                }]}},
            }},
        },
    })
}

/// Pods leave a lost node after seconds, not after five minutes.
fn tolerations() -> Value {
    let one = |key: &str| json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS});
    json!([one("not-ready"), one("unreachable")])
}
