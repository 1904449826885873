//! The machines of a cluster, which here are namespaces.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// What runs on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// A member of the store, an apiserver, controllers and a scheduler.
    Master,
    /// Pods.
    Worker,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Host {
    /// Also its host name and its node's name.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// In the cluster's subnet; also decides about the names of its links.
    pub(crate) address: Ipv4Addr,
}

impl Host {
    pub(crate) fn is_master(&self) -> bool {
        self.role == Role::Master
    }
}
