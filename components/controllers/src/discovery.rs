//! Which resources the server has.

use std::fmt;
use std::sync::Arc;

use kube::Client;
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::discovery::{ApiCapabilities, Discovery, Scope};
use parking_lot::RwLock;

/// One resource, in the version to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
    /// Whether it has the subresource `scale`.
    pub(crate) scales: bool,
}

impl Served {
    fn new((resource, capabilities): (ApiResource, ApiCapabilities)) -> Self {
        Self {
            resource,
            namespaced: capabilities.scope == Scope::Namespaced,
            scales: capabilities
                .subresources
                .iter()
                .any(|(sub, _)| sub.plural == "scale"),
            verbs: capabilities.operations,
        }
    }

    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|own| own == verb)
    }
}

/// What the server said last.
#[derive(Clone, Default)]
pub(crate) struct ServedResources {
    last: Arc<RwLock<Option<Arc<Discovery>>>>,
}

impl fmt::Debug for ServedResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedResources").finish_non_exhaustive()
    }
}

impl ServedResources {
    /// Asks the server: two requests.
    pub(crate) async fn refresh(&self, client: &Client) -> kube::Result<()> {
        let found = Discovery::new(client.clone()).run_aggregated().await?;
        *self.last.write() = Some(Arc::new(found));
        Ok(())
    }

    /// All resources, each in one version.
    pub(crate) fn all(&self) -> Vec<Served> {
        let last = self.last.read().clone();
        let groups = last.iter().flat_map(|found| found.groups());
        let all = groups.flat_map(|group| group.resources_by_stability());
        all.map(Served::new).collect()
    }

    /// The resource of a kind, in any version.
    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> Option<Served> {
        let types = TypeMeta {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        };
        let gvk = GroupVersionKind::try_from(types).ok()?;
        let last = self.last.read().clone()?;
        last.resolve_gvk(&gvk).map(Served::new)
    }
}

/// Whether an answer says that the object is not there, rather than that its kind or path is unknown, as a server
/// says whose custom resources or aggregated interfaces are away for a while.
pub(crate) fn is_absent(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let named = |status: &kube::core::Status| {
        status
            .details
            .as_ref()
            .is_some_and(|details| !details.name.is_empty())
    };
    status.code == 404 && status.reason == "NotFound" && named(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use serde_json::json;

    #[test]
    fn only_an_answer_about_the_object_says_that_it_is_absent() {
        for (status, absent) in [
            (
                json!({"code": 404, "reason": "NotFound", "details": {"name": "a", "kind": "pods"}}),
                true,
            ),
            (
                json!({"code": 404, "reason": "NotFound", "details": {}}),
                false,
            ),
            (
                json!({"code": 404, "reason": "Failed to parse error data"}),
                false,
            ),
            (
                json!({"code": 503, "reason": "ServiceUnavailable", "details": {"name": "a"}}),
                false,
            ),
        ] {
            let parsed: Status = serde_json::from_value(status.clone()).expect("a status");
            let error = kube::Error::Api(parsed.boxed());
            assert_eq!(is_absent(&error), absent, "{status}");
        }
    }
}
