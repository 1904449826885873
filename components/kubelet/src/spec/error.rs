//! Why a container cannot be made as its pod asks.

use thiserror::Error;

/// A pod's spec that cannot be put into the runtime's words on this node. The text is for users: it becomes the
/// message of the waiting reason `CreateContainerConfigError` and is upstream's where clients may look for it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A pod in errors: `name_namespace(uid)`.
pub(crate) fn pod_words(pod: &k8s_openapi::api::core::v1::Pod) -> String {
    let metadata = &pod.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!(
        "{}_{}({})",
        text(&metadata.name),
        text(&metadata.namespace),
        text(&metadata.uid)
    )
}
