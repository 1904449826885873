//! The command line of `mainstay join`.

use std::net::{Ipv4Addr, SocketAddrV4};

use clap::Args;

use crate::pki::Pin;

/// Flags of `mainstay join`. Where a machine has joined before, none is needed to start it again.
#[derive(Args, Clone)]
pub(crate) struct Join {
    /// Where the cluster's apiservers are reached; 'mainstay token create --print-join-command' shows it.
    #[arg(value_name = "ADDRESS:PORT")]
    pub(super) server: Option<SocketAddrV4>,
    /// A token of the cluster.
    #[arg(long, value_name = "ID.SECRET")]
    pub(super) token: Option<String>,
    /// What its authority's public key must be.
    #[arg(long, value_name = "sha256:HEX")]
    pub(super) discovery_token_ca_cert_hash: Option<Pin>,
    /// Name of the node [default: the machine's].
    #[arg(long)]
    pub(super) name: Option<String>,
    /// The machine's address for other nodes [default: that with which it reaches the apiservers].
    #[arg(long, value_name = "ADDRESS")]
    pub(super) node_ip: Option<Ipv4Addr>,
}

impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the token.
        f.debug_struct("Join")
            .field("server", &self.server)
            .field("name", &self.name)
            .field("node_ip", &self.node_ip)
            .finish_non_exhaustive()
    }
}
