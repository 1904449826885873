//! What the runtime keeps for this kubelet: labels and annotations of sandboxes and containers, under upstream's names.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};

pub const POD_NAME: &str = "io.kubernetes.pod.name";
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub const POD_UID: &str = "io.kubernetes.pod.uid";
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";

pub const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
pub const MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
pub const MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
pub const PRE_STOP: &str = "io.kubernetes.container.preStopHandler";
pub const PORTS: &str = "io.kubernetes.container.ports";
pub const POD_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";
pub const DELETION_GRACE: &str = "io.kubernetes.pod.deletionGracePeriod";

/// Labels and annotations as the runtime takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// Of a pod's sandbox: its own, and who it is.
pub fn of_sandbox(pod: &Pod) -> Marks {
    let mut labels = pod.metadata.labels.clone().unwrap_or_default();
    labels.extend(identity(pod));
    Marks {
        labels,
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
    }
}

/// Of a container, for its `restarts`-th restart. What is needed to end it stands here too: the pod may be gone by then.
pub fn of_container(pod: &Pod, container: &Container, restarts: u32) -> Marks {
    let mut labels = identity(pod);
    labels.insert(CONTAINER_NAME.to_owned(), container.name.clone());
    let path = container.termination_message_path.as_deref();
    let policy = container.termination_message_policy.as_deref();
    let mut annotations = BTreeMap::from([
        (CONTAINER_HASH.to_owned(), hash(container)),
        (RESTART_COUNT.to_owned(), restarts.to_string()),
        (
            MESSAGE_PATH.to_owned(),
            path.unwrap_or("/dev/termination-log").to_owned(),
        ),
        (
            MESSAGE_POLICY.to_owned(),
            policy.unwrap_or("File").to_owned(),
        ),
    ]);
    let graces = [
        (
            POD_GRACE,
            pod.spec
                .as_ref()
                .and_then(|spec| spec.termination_grace_period_seconds),
        ),
        (DELETION_GRACE, pod.metadata.deletion_grace_period_seconds),
    ];
    for (name, seconds) in graces {
        if let Some(seconds) = seconds {
            annotations.insert(name.to_owned(), seconds.to_string());
        }
    }
    let pre_stop = container
        .lifecycle
        .as_ref()
        .and_then(|hooks| hooks.pre_stop.as_ref());
    if let Some(Ok(text)) = pre_stop.map(serde_json::to_string) {
        annotations.insert(PRE_STOP.to_owned(), text);
    }
    if let Some(Ok(text)) = container.ports.as_ref().map(serde_json::to_string) {
        annotations.insert(PORTS.to_owned(), text);
    }
    Marks {
        labels,
        annotations,
    }
}

fn identity(pod: &Pod) -> BTreeMap<String, String> {
    let meta = &pod.metadata;
    [
        (POD_NAME, &meta.name),
        (POD_NAMESPACE, &meta.namespace),
        (POD_UID, &meta.uid),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.clone().unwrap_or_default()))
    .collect()
}

/// Changes when a container has to be made anew because its spec did: upstream counts name and image.
pub fn hash(container: &Container) -> String {
    let counted = serde_json::json!({
        "image": container.image.as_deref().unwrap_or_default(),
        "name": container.name,
    });
    format!("{:x}", fnv32a(counted.to_string().as_bytes()))
}

fn fnv32a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{Lifecycle, LifecycleHandler, PodSpec, SleepAction};
    use kube::api::ObjectMeta;

    #[test]
    fn fnv_is_the_known_one() {
        for (text, sum) in [
            ("", 0x811c_9dc5),
            ("a", 0xe40c_292c),
            ("foobar", 0xbf9c_f968),
        ] {
            assert_eq!(fnv32a(text.as_bytes()), sum, "{text:?}");
        }
    }

    #[test]
    fn a_container_says_what_ending_it_needs() {
        let pod = Pod {
            metadata: ObjectMeta {
                name: Some("web".to_owned()),
                namespace: Some("default".to_owned()),
                uid: Some("1".to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec {
                termination_grace_period_seconds: Some(7),
                ..PodSpec::default()
            }),
            status: None,
        };
        let mut container = Container {
            name: "main".to_owned(),
            image: Some("busybox".to_owned()),
            lifecycle: Some(Lifecycle {
                pre_stop: Some(LifecycleHandler {
                    sleep: Some(SleepAction { seconds: 3 }),
                    ..LifecycleHandler::default()
                }),
                ..Lifecycle::default()
            }),
            ..Container::default()
        };
        let marks = of_container(&pod, &container, 2);
        assert_eq!(marks.labels[CONTAINER_NAME], "main");
        assert_eq!(marks.labels[POD_UID], "1");
        assert_eq!(marks.annotations[RESTART_COUNT], "2");
        assert_eq!(marks.annotations[POD_GRACE], "7");
        assert_eq!(marks.annotations[PRE_STOP], r#"{"sleep":{"seconds":3}}"#);
        let before = hash(&container);
        container.command = Some(vec!["true".to_owned()]);
        assert_eq!(hash(&container), before);
        container.image = Some("busybox:2".to_owned());
        assert_ne!(hash(&container), before);
    }
}
