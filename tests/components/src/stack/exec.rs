//! Commands within containers, past the API: by the runtime of the pod's node.

use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::Pod;
use mainstay_tests::apiserver::Said;

use super::cluster::Stack;
use super::pods::node;
use crate::world::Scene;

/// Execs of one container must not have the same name.
static EXECS: AtomicUsize = AtomicUsize::new(0);

impl Stack {
    /// What a command within a pod's first container said, whatever becomes of it.
    pub async fn in_pod(&self, scene: &Scene, pod: &str, words: &[&str]) -> Said {
        let failed = |text: String| Said { text, ok: false };
        let object = match scene.api::<Pod>().get(pod).await {
            Ok(object) => object,
            Err(error) => return failed(error.to_string()),
        };
        let Some(container) = container(&object) else {
            return failed(format!("{pod} has no container yet"));
        };
        let name = format!(
            "exec-{}-{}",
            std::process::id(),
            EXECS.fetch_add(1, Ordering::SeqCst)
        );
        let mut all = vec![
            "ctr",
            "--namespace=k8s.io",
            "tasks",
            "exec",
            "--exec-id",
            &name,
        ];
        all.push(&container);
        all.extend_from_slice(words);
        self.on_host(&node(&object), &all).await
    }
}

/// The runtime's id of the first container.
fn container(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let id = statuses.first()?.container_id.as_ref()?;
    Some(id.split_once("://")?.1.to_owned())
}
