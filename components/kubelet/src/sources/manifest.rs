//! Pods from a file or a server.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus, Toleration};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::references::api_reference;
use crate::limits::{GRACE_SECONDS, STATIC_FILES_MAX};

/// Where a manifest comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    File(&'a Path),
    Url(&'a str),
}

/// The pod that a file describes, as this node runs it: named after the node, with a uid that is a hash of what the file
/// says, and with the defaults that the apiserver would have set.
///
/// # Errors
/// Why it describes none.
pub fn pod_of(text: &str, file: &Path, node: &str, now: Timestamp) -> Result<Pod, String> {
    let pod: Pod = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
    complete(pod, text, Origin::File(file), node, now)
}

/// The pods that a server describes: one, or those of a list, as JSON or YAML.
///
/// # Errors
/// Why it describes none; one that is wrong spoils all, as upstream's do.
pub fn pods_of(text: &str, url: &str, node: &str, now: Timestamp) -> Result<Vec<Pod>, String> {
    // JSON is YAML but for tabs.
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?,
    };
    let word = |name: &str| value.get(name).and_then(Value::as_str);
    if let Some(version) = word("apiVersion").filter(|version| *version != "v1") {
        return Err(format!("there are no pods in {version}"));
    }
    let all = match word("kind") {
        Some("PodList" | "List") => match value.get("items").cloned() {
            Some(Value::Array(items)) => items,
            Some(Value::Null) | None => Vec::new(),
            Some(_) => return Err("the items of the list are none".to_owned()),
        },
        Some("Pod") | None => vec![value],
        Some(other) => return Err(format!("a {other} is no pod")),
    };
    if all.len() > STATIC_FILES_MAX {
        return Err(format!("more than {STATIC_FILES_MAX} pods"));
    }
    let one = |value: Value| {
        let text = value.to_string();
        let pod = serde_json::from_value(value).map_err(|error| error.to_string())?;
        complete(pod, &text, Origin::Url(url), node, now)
    };
    all.into_iter().map(one).collect()
}

fn complete(
    mut pod: Pod,
    text: &str,
    origin: Origin<'_>,
    node: &str,
    now: Timestamp,
) -> Result<Pod, String> {
    let meta = &mut pod.metadata;
    let name = meta.name.as_deref().filter(|name| !name.is_empty());
    let name = name.ok_or("the pod has no name")?;
    let Some(spec) = &mut pod.spec else {
        return Err("the pod has no spec".to_owned());
    };
    if spec.containers.is_empty() {
        return Err("the pod has no containers".to_owned());
    }
    if let Some(what) = api_reference(spec) {
        return Err(format!("static pods may not reference {what}"));
    }
    meta.name = Some(format!("{name}-{}", node.to_lowercase()));
    meta.namespace.get_or_insert_with(|| "default".to_owned());
    let hash = hash(text, origin, node);
    let uid = meta.uid.get_or_insert_with(|| hash.clone()).clone();
    let marks = meta.annotations.get_or_insert_default();
    for (key, value) in [
        ("kubernetes.io/config.hash", uid),
        ("kubernetes.io/config.seen", now.to_string()),
        ("kubernetes.io/config.source", origin.name().to_owned()),
    ] {
        marks.insert(key.to_owned(), value);
    }
    spec.node_name = Some(node.to_owned());
    if let Origin::File(_) = origin {
        let tolerations = spec.tolerations.get_or_insert_default();
        tolerations.push(Toleration {
            operator: Some("Exists".to_owned()),
            effect: Some("NoExecute".to_owned()),
            ..Toleration::default()
        });
    }
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

impl Origin<'_> {
    /// As upstream's annotation has it.
    fn name(self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Url(_) => "http",
        }
    }
}

/// As long as upstream's.
fn hash(text: &str, origin: Origin<'_>, node: &str) -> String {
    let mut sum = Sha256::new();
    let from = match origin {
        Origin::File(path) => path.as_os_str().as_encoded_bytes(),
        Origin::Url(url) => url.as_bytes(),
    };
    for part in [node.as_bytes(), from, text.as_bytes()] {
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
            (
                "metadata: {name: a}\nspec: {serviceAccountName: b, containers: [{name: a, image: b}]}",
                "static pods may not reference serviceaccounts",
            ),
        ];
        for (text, why) in cases {
            assert_eq!(read(text).expect_err(text), why);
        }
        assert!(read("[").is_err());
    }

    #[test]
    fn a_server_describes_one_pod_or_a_list() {
        let pods = |text: &str| pods_of(text, "http://a/p", "node-1", Timestamp::UNIX_EPOCH);
        let pod = |name: &str| {
            format!(
                "{{\"metadata\": {{\"name\": \"{name}\"}},\n\t\"spec\": {{\"containers\": [{{\"name\": \"a\"}}]}}}}"
            )
        };
        let one = pods(&pod("a")).expect("one");
        assert_eq!(one[0].metadata.name.as_deref(), Some("a-node-1"));
        let marks = one[0].metadata.annotations.clone().expect("some");
        assert_eq!(marks["kubernetes.io/config.source"], "http");
        let spec = one[0].spec.clone().expect("there");
        assert!(spec.tolerations.is_none(), "only those of files are spared");
        let list = |items: &str| format!("{{\"kind\": \"PodList\", \"items\": [{items}]}}");
        let both = pods(&list(&format!("{}, {}", pod("a"), pod("b")))).expect("two");
        assert_eq!(both.len(), 2);
        assert_eq!(both[0].metadata.uid, one[0].metadata.uid);
        assert!(pods(&list("")).expect("none").is_empty());
        let yaml =
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}";
        assert_eq!(pods(yaml).expect("one").len(), 1);
        for wrong in [
            "kind: Service".to_owned(),
            "apiVersion: v2".to_owned(),
            "kind: PodList\nitems: 3".to_owned(),
            list(&format!("{}, {{}}", pod("a"))),
            "<html>".to_owned(),
            "[".to_owned(),
        ] {
            assert!(pods(&wrong).is_err(), "{wrong}");
        }
    }
}
