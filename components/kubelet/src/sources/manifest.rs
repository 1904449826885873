//! A pod from a file.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus, Toleration};
use sha2::{Digest as _, Sha256};

use crate::limits::GRACE_SECONDS;

/// The pod that a file describes, as this node runs it: named after the node, with a uid that is a hash of what the file
/// says, and with the defaults that the apiserver would have set.
///
/// # Errors
/// Why it describes none.
pub fn pod_of(text: &str, file: &Path, node: &str, now: Timestamp) -> Result<Pod, String> {
    let mut pod: Pod = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
    let meta = &mut pod.metadata;
    let name = meta.name.as_deref().filter(|name| !name.is_empty());
    let name = name.ok_or("the pod has no name")?;
    let Some(spec) = &mut pod.spec else {
        return Err("the pod has no spec".to_owned());
    };
    if spec.containers.is_empty() {
        return Err("the pod has no containers".to_owned());
    }
    meta.name = Some(format!("{name}-{}", node.to_lowercase()));
    meta.namespace.get_or_insert_with(|| "default".to_owned());
    let hash = hash(text, file, node);
    let uid = meta.uid.get_or_insert_with(|| hash.clone()).clone();
    let marks = meta.annotations.get_or_insert_default();
    for (key, value) in [
        ("kubernetes.io/config.hash", uid),
        ("kubernetes.io/config.seen", now.to_string()),
        ("kubernetes.io/config.source", "file".to_owned()),
    ] {
        marks.insert(key.to_owned(), value);
    }
    spec.node_name = Some(node.to_owned());
    let tolerations = spec.tolerations.get_or_insert_default();
    tolerations.push(Toleration {
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        ..Toleration::default()
    });
    spec.restart_policy
        .get_or_insert_with(|| "Always".to_owned());
    spec.dns_policy
        .get_or_insert_with(|| "ClusterFirst".to_owned());
    spec.scheduler_name
        .get_or_insert_with(|| "default-scheduler".to_owned());
    spec.termination_grace_period_seconds
        .get_or_insert(GRACE_SECONDS);
    spec.enable_service_links.get_or_insert(true);
    spec.security_context.get_or_insert_default();
    let host = spec.host_network == Some(true);
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        container
            .termination_message_path
            .get_or_insert_with(|| "/dev/termination-log".to_owned());
        for port in container.ports.iter_mut().flatten() {
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
            if host {
                port.host_port.get_or_insert(port.container_port);
            }
        }
    }
    pod.status = Some(PodStatus {
        phase: Some("Pending".to_owned()),
        ..PodStatus::default()
    });
    Ok(pod)
}

/// As long as upstream's.
fn hash(text: &str, file: &Path, node: &str) -> String {
    let mut sum = Sha256::new();
    for part in [
        node.as_bytes(),
        file.as_os_str().as_encoded_bytes(),
        text.as_bytes(),
    ] {
        sum.update((part.len() as u64).to_be_bytes());
        sum.update(part);
    }
    sum.finalize()[..16]
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing into a string does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Pod, String> {
        pod_of(
            text,
            Path::new("/etc/a.yaml"),
            "node-1",
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn a_file_is_a_pod_of_this_node() {
        let text = "metadata: {name: web}\nspec: {containers: [{name: a, image: b}]}";
        let pod = read(text).expect("it is one");
        assert_eq!(pod.metadata.name.as_deref(), Some("web-node-1"));
        assert_eq!(pod.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(pod.metadata.uid.as_ref().map(String::len), Some(32));
        assert_eq!(pod.metadata.uid, read(text).expect("the same").metadata.uid);
        let other = read(&text.replace("image: b", "image: c")).expect("it is one");
        assert_ne!(pod.metadata.uid, other.metadata.uid);
    }

    #[test]
    fn what_is_no_pod_says_why() {
        let cases = [
            ("metadata: {}", "the pod has no name"),
            ("metadata: {name: a}", "the pod has no spec"),
            (
                "metadata: {name: a}\nspec: {containers: []}",
                "the pod has no containers",
            ),
        ];
        for (text, why) in cases {
            assert_eq!(read(text).expect_err(text), why);
        }
        assert!(read("[").is_err());
    }
}
