//! The kinds that clients work with.

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    ConfigMap,
    Pod,
    Service,
    Lease,
    Namespace,
}

impl Kind {
    fn api(self) -> &'static str {
        match self {
            Self::Lease => "/apis/coordination.k8s.io/v1",
            _ => "/api/v1",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Pod => "pods",
            Self::Service => "services",
            Self::Lease => "leases",
            Self::Namespace => "namespaces",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::Lease => "Lease",
            Self::Namespace => "Namespace",
        }
    }

    pub(super) fn api_version(self) -> &'static str {
        match self {
            Self::Lease => "coordination.k8s.io/v1",
            _ => "v1",
        }
    }

    /// Path of the collection; `namespace` is empty for all namespaces.
    pub(super) fn collection(self, namespace: &str) -> String {
        let (api, plural) = (self.api(), self.plural());
        match namespace {
            "" => format!("{api}/{plural}"),
            namespace => format!("{api}/namespaces/{namespace}/{plural}"),
        }
    }

    /// Path of an object.
    pub(super) fn path(self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.collection(namespace))
    }

    /// What its keys in the store begin with, below the servers' prefix.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps/",
            Self::Pod => "pods/",
            Self::Service => "services/specs/",
            Self::Lease => "leases/",
            Self::Namespace => "namespaces/",
        }
    }

    /// The key of an object in the store, below the servers' prefix.
    pub(super) fn key(self, namespace: &str, name: &str) -> String {
        let prefix = self.prefix();
        match namespace {
            "" => format!("{prefix}{name}"),
            namespace => format!("{prefix}{namespace}/{name}"),
        }
    }
}
