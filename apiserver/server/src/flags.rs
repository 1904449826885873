//! Flags, under the names kube-apiserver gives them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use ipnet::Ipv4Net;

use crate::limits;

/// Serves the Kubernetes API from an etcd.
#[derive(Clone, Debug, Parser)]
#[command(name = "apiserver", version, rename_all = "kebab-case")]
pub(crate) struct Flags {
    /// Where the etcd is: URLs, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:2379")]
    pub(crate) etcd_servers: Vec<String>,
    /// Certificate authority that etcd's certificates are checked with.
    #[arg(long)]
    pub(crate) etcd_cafile: Option<PathBuf>,
    /// Client certificate for etcd.
    #[arg(long, requires = "etcd_keyfile")]
    pub(crate) etcd_certfile: Option<PathBuf>,
    /// Its key.
    #[arg(long, requires = "etcd_certfile")]
    pub(crate) etcd_keyfile: Option<PathBuf>,
    /// What all keys in etcd begin with.
    #[arg(long, default_value = "/registry")]
    pub(crate) etcd_prefix: String,

    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0")]
    pub(crate) bind_address: IpAddr,
    /// Port to listen on, always with TLS; 0 takes a free one.
    #[arg(long, default_value_t = 6443)]
    pub(crate) secure_port: u16,
    /// Address under which the members of the cluster reach this server. Default: the bind address, or this host's.
    #[arg(long)]
    pub(crate) advertise_address: Option<IpAddr>,
    /// Folder for keys and certificates that no flag names: they are made there if they are missing, with
    /// kubeconfigs of an administrator and of the components.
    #[arg(long, default_value = "/var/run/kubernetes")]
    pub(crate) cert_dir: PathBuf,
    /// Serving certificate, with its chain.
    #[arg(long, requires = "tls_private_key_file")]
    pub(crate) tls_cert_file: Option<PathBuf>,
    /// Its key.
    #[arg(long, requires = "tls_cert_file")]
    pub(crate) tls_private_key_file: Option<PathBuf>,
    /// Certificate authority of clients: a certificate's common name is the user, its organisations are the groups.
    #[arg(long)]
    pub(crate) client_ca_file: Option<PathBuf>,

    /// Types of nodes' addresses under which kubelets are reached, the best first.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP"
    )]
    pub(crate) kubelet_preferred_address_types: Vec<String>,
    /// Port of kubelets whose nodes do not tell one.
    #[arg(long, default_value_t = limits::KUBELET_PORT, hide = true)]
    pub(crate) kubelet_port: u16,
    /// Time for a connection to a kubelet.
    #[arg(long, value_parser = duration, default_value = limits::KUBELET_TIMEOUT)]
    pub(crate) kubelet_timeout: Duration,
    /// Client certificate for kubelets. Default: one from the folder of certificates.
    #[arg(long, requires = "kubelet_client_key")]
    pub(crate) kubelet_client_certificate: Option<PathBuf>,
    /// Its key.
    #[arg(long, requires = "kubelet_client_certificate")]
    pub(crate) kubelet_client_key: Option<PathBuf>,
    /// Certificate authority that kubelets' certificates are checked with. Default: they are not checked.
    #[arg(long)]
    pub(crate) kubelet_certificate_authority: Option<PathBuf>,

    /// Keys that service-account tokens are verified with (PEM); may be given more than once.
    #[arg(long, value_delimiter = ',')]
    pub(crate) service_account_key_file: Vec<PathBuf>,
    /// Key that service-account tokens are signed with (PEM).
    #[arg(long)]
    pub(crate) service_account_signing_key_file: Option<PathBuf>,
    /// Issuer of service-account tokens.
    #[arg(long, default_value = "https://kubernetes.default.svc.cluster.local")]
    pub(crate) service_account_issuer: String,
    /// Audiences this server accepts. Default: the issuer.
    #[arg(long, value_delimiter = ',')]
    pub(crate) api_audiences: Vec<String>,
    /// Longest life of a service-account token, as 24h; 0s is no limit of its own.
    #[arg(long, value_parser = duration, default_value = "0s")]
    pub(crate) service_account_max_token_expiration: Duration,
    /// Whether requests without credentials are let in as system:anonymous.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) anonymous_auth: bool,
    /// Whether bootstrap tokens are accepted.
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(crate) enable_bootstrap_token_auth: bool,
    /// File with fixed tokens: token,user,uid,"group1,group2".
    #[arg(long)]
    pub(crate) token_auth_file: Option<PathBuf>,
    /// Who decides, in this order.
    #[arg(long, value_delimiter = ',', default_value = "Node,RBAC")]
    pub(crate) authorization_mode: Vec<AuthorizationMode>,

    /// Whether this server keeps the rules of aggregated cluster roles. If not, kube-controller-manager does.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(crate) aggregate_cluster_roles: bool,

    /// Addresses of services.
    #[arg(long, default_value = "10.96.0.0/16")]
    pub(crate) service_cluster_ip_range: Ipv4Net,
    /// Ports of services on nodes.
    #[arg(long, value_parser = port_range, default_value = "30000-32767")]
    pub(crate) service_node_port_range: (u16, u16),

    /// Reading requests at a time, beyond which more are refused; 0 is no limit.
    #[arg(long, default_value_t = limits::READS_INFLIGHT_MAX)]
    pub(crate) max_requests_inflight: usize,
    /// The same for writing requests.
    #[arg(long, default_value_t = limits::WRITES_INFLIGHT_MAX)]
    pub(crate) max_mutating_requests_inflight: usize,
    /// Time for a request that is not a stream.
    #[arg(long, value_parser = duration, default_value = "1m")]
    pub(crate) request_timeout: Duration,
    /// Shortest time of a watch that does not say its own, in seconds; the longest is twice as much.
    #[arg(long, default_value_t = 1800)]
    pub(crate) min_request_timeout: u64,
    /// How long events are kept.
    #[arg(long, value_parser = duration, default_value = "1h")]
    pub(crate) event_ttl: Duration,
    /// Time between the announcement that this server ends and the end of its listening.
    #[arg(long, value_parser = duration, default_value = "0s")]
    pub(crate) shutdown_delay_duration: Duration,
    /// Threads that serve. Default: one for each core.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

/// Who decides about requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum AuthorizationMode {
    /// What kubelets may do.
    Node,
    /// Roles and bindings.
    #[value(name = "RBAC")]
    Rbac,
    AlwaysAllow,
    AlwaysDeny,
}

impl Flags {
    pub(crate) fn bind(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.secure_port)
    }

    /// The address that is published as an endpoint of the service `kubernetes`.
    pub(crate) fn advertised(&self) -> IpAddr {
        self.advertise_address.unwrap_or(match self.bind_address {
            // As upstream: nobody else reaches a loopback address.
            address if address.is_unspecified() || address.is_loopback() => own_address(),
            address => address,
        })
    }

    pub(crate) fn audiences(&self) -> Vec<String> {
        match self.api_audiences.as_slice() {
            [] => vec![self.service_account_issuer.clone()],
            audiences => audiences.to_vec(),
        }
    }
}

/// The address this host would use towards others. Nothing is sent for that.
fn own_address() -> IpAddr {
    let probe = || {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        // An address reserved for documentation: routed like any other, never answered.
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        Ok::<_, std::io::Error>(socket.local_addr()?.ip())
    };
    probe().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Durations as Go writes them: `1h30m`, `90s`, `500ms`, `0`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    parsed
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| format!("{text:?} is not a duration such as 90s, 5m or 1h30m"))
}

fn port_range(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("{text:?} is not a range of ports such as 30000-32767");
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let range = (
        first.parse().map_err(|_| wrong())?,
        last.parse().map_err(|_| wrong())?,
    );
    match range.0 > 0 && range.0 <= range.1 {
        true => Ok(range),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let cases = [
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("250ms", 250),
            ("0", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "1d", "-1s", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_are_kube_apiservers() {
        let flags = Flags::try_parse_from([
            "apiserver",
            "--etcd-servers=https://a:2379,https://b:2379",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.1.0.0/24",
            "--service-node-port-range=31000-31010",
            "--anonymous-auth=false",
            "--enable-bootstrap-token-auth",
        ])
        .unwrap();
        assert_eq!(flags.etcd_servers.len(), 2);
        assert!(!flags.anonymous_auth && flags.enable_bootstrap_token_auth);
        assert_eq!(flags.service_node_port_range, (31000, 31010));
        assert!(Flags::try_parse_from(["apiserver", "--service-node-port-range=5-1"]).is_err());
    }
}
