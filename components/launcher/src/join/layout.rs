//! What a cluster tells machines that join.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, text};
use crate::limits::DNS_SERVICE;

/// The namespace of what everybody may know.
pub(crate) const PUBLIC: &str = "kube-public";
/// Where the cluster is, signed for each token: as upstream's installers and controllers know it.
pub(crate) const INFO: &str = "cluster-info";
/// How it is laid out: only for who has a token.
pub(crate) const LAYOUT: &str = "mainstay-layout";

/// Ranges of addresses. The data of a config map: every value is text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Layout {
    /// Of hosts on the machine that has the apiservers.
    #[serde(with = "text")]
    pub(crate) hosts: Ipv4Net,
    #[serde(with = "text")]
    pub(crate) pods: Ipv4Net,
    /// That at which pods ask for names.
    pub(crate) dns: Ipv4Addr,
}

impl Layout {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        Self {
            hosts: cluster.subnet,
            pods: cluster.pod_cidr,
            dns: cluster.service(DNS_SERVICE),
        }
    }
}
