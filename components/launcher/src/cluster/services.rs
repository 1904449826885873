//! Which processes run on which host, with which flags.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use super::{Cluster, Host};
use crate::limits::{API_PORT, BALANCER_PORT, DNS_SERVICE};
use crate::supervise::Service;

/// Where hosts see our programs.
const PROGRAMS: &str = "/opt/mainstay/bin";
const PKI: &str = "/etc/kubernetes/pki";
const CONFIGS: &str = "/etc/kubernetes";

/// What the machine has for workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Means {
    /// A runtime, its plugins and a kubelet; without them workers are fake nodes.
    pub(crate) containers: bool,
    /// Something that leads to services.
    pub(crate) proxy: bool,
    /// Something that knows their names.
    pub(crate) dns: bool,
}

/// Everything that runs on a host, in the order of starting.
pub(crate) fn services(cluster: &Cluster, host: &Host, means: Means) -> Vec<Service> {
    let mut services = match host.is_master() {
        true => vec![
            store(cluster, host),
            apiserver(cluster, host),
            balancer(cluster, host),
            controllers(cluster),
            scheduler(),
        ],
        false => vec![balancer(cluster, host)],
    };
    match (means.containers, host.is_master()) {
        (false, true) => {}
        (false, false) => services.push(fake_node(host)),
        // Apiservers too send requests to pods.
        (true, true) => services.push(network(cluster, host)),
        (true, false) => {
            services.extend([runtime(), network(cluster, host), kubelet(cluster, host)]);
            if means.proxy {
                services.push(proxy(cluster, host));
            }
        }
    }
    services.retain(|service| starts(cluster, service));
    services
}

/// Whether it starts already: without their rights most would only complain.
pub(super) fn starts(cluster: &Cluster, service: &Service) -> bool {
    let waits = [
        "controllers",
        "scheduler",
        "network",
        "kubelet",
        "proxy",
        "fake-nodes",
    ];
    cluster.furnished || !waits.contains(&service.name.as_str())
}

/// What runs on the machine itself: the way to the apiservers for its users, or all there is where there are no hosts.
pub(crate) fn of_machine(cluster: &Cluster, program: &Path) -> Vec<Service> {
    if let Some(embedded) = &cluster.embedded {
        return embedded.services(cluster, program.parent().unwrap_or(Path::new("/")));
    }
    let pki = cluster.folders().pki();
    let mut listen = format!("127.0.0.1:{}", cluster.port);
    if let Some(address) = cluster.advertise {
        listen.push_str(&format!(",{address}:{}", cluster.port));
    }
    let mut arguments = vec!["balance".to_owned(), format!("--listen={listen}")];
    arguments.push(format!("--servers={}", servers(cluster)));
    arguments.push(format!("--ca-file={}", pki.join("ca.crt").display()));
    vec![Service {
        name: "balancer".to_owned(),
        program: program.display().to_string(),
        arguments,
        environment: BTreeMap::new(),
    }]
}

fn ours(name: &str, program: &str, arguments: Vec<String>) -> Service {
    Service {
        name: name.to_owned(),
        program: format!("{PROGRAMS}/{program}"),
        arguments,
        environment: BTreeMap::new(),
    }
}

fn store(cluster: &Cluster, host: &Host) -> Service {
    let (name, address) = (&host.name, host.address);
    let members: Vec<String> = cluster
        .masters()
        .map(|master| format!("{}=https://{}:2380", master.name, master.address))
        .collect();
    let arguments = vec![
        format!("--name={name}"),
        "--data-dir=/var/lib/kvstore".to_owned(),
        format!("--listen-client-urls=https://{address}:2379,https://127.0.0.1:2379"),
        format!("--advertise-client-urls=https://{address}:2379"),
        format!("--listen-peer-urls=https://{address}:2380"),
        format!("--initial-advertise-peer-urls=https://{address}:2380"),
        format!("--initial-cluster={}", members.join(",")),
        format!("--initial-cluster-token=mainstay-{}", cluster.id),
        format!("--cert-file={PKI}/etcd/server.crt"),
        format!("--key-file={PKI}/etcd/server.key"),
        "--client-cert-auth=true".to_owned(),
        format!("--trusted-ca-file={PKI}/etcd/ca.crt"),
        format!("--peer-cert-file={PKI}/etcd/peer.crt"),
        format!("--peer-key-file={PKI}/etcd/peer.key"),
        "--peer-client-cert-auth=true".to_owned(),
        format!("--peer-trusted-ca-file={PKI}/etcd/ca.crt"),
    ];
    ours("kvstore", "kvstore", arguments)
}

fn apiserver(cluster: &Cluster, host: &Host) -> Service {
    // The own member first: it costs no way over the network.
    let mut members = vec![host.address];
    members.extend(
        cluster
            .masters()
            .map(|master| master.address)
            .filter(|address| *address != host.address),
    );
    let members: Vec<String> = members
        .iter()
        .map(|address| format!("https://{address}:2379"))
        .collect();
    let arguments = vec![
        format!("--etcd-servers={}", members.join(",")),
        format!("--etcd-cafile={PKI}/etcd/ca.crt"),
        format!("--etcd-certfile={PKI}/apiserver-etcd-client.crt"),
        format!("--etcd-keyfile={PKI}/apiserver-etcd-client.key"),
        format!("--secure-port={API_PORT}"),
        format!("--advertise-address={}", host.address),
        format!("--cert-dir={PKI}/made"),
        format!("--tls-cert-file={PKI}/apiserver.crt"),
        format!("--tls-private-key-file={PKI}/apiserver.key"),
        format!("--client-ca-file={PKI}/ca.crt"),
        format!("--service-account-key-file={PKI}/sa.pub"),
        format!("--service-account-signing-key-file={PKI}/sa.key"),
        format!("--service-cluster-ip-range={}", cluster.service_cidr),
        "--enable-bootstrap-token-auth=true".to_owned(),
        format!("--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt"),
        format!("--kubelet-client-key={PKI}/apiserver-kubelet-client.key"),
        format!("--kubelet-certificate-authority={PKI}/ca.crt"),
        // Names of hosts are known on hosts only, and their certificates have the addresses, too.
        "--kubelet-preferred-address-types=InternalIP,Hostname".to_owned(),
    ];
    ours("apiserver", "apiserver", arguments)
}

fn balancer(cluster: &Cluster, host: &Host) -> Service {
    let mut arguments = vec![
        "balance".to_owned(),
        format!("--listen=127.0.0.1:{BALANCER_PORT}"),
        format!("--servers={}", servers(cluster)),
        format!("--ca-file={PKI}/ca.crt"),
    ];
    if host.is_master() {
        let own = SocketAddr::from((host.address, API_PORT));
        arguments.push(format!("--prefer={own}"));
    }
    ours("balancer", "mainstay", arguments)
}

fn controllers(cluster: &Cluster) -> Service {
    let arguments = vec![
        format!("--kubeconfig={CONFIGS}/controller-manager.kubeconfig"),
        format!("--root-ca-file={PKI}/ca.crt"),
        format!("--cluster-signing-cert-file={PKI}/ca.crt"),
        format!("--cluster-signing-key-file={PKI}/ca.key"),
        format!("--service-account-private-key-file={PKI}/sa.key"),
        "--allocate-node-cidrs=true".to_owned(),
        format!("--cluster-cidr={}", cluster.pod_cidr),
        format!("--service-cluster-ip-range={}", cluster.service_cidr),
        "--controllers=*,bootstrap-signer-controller,token-cleaner-controller".to_owned(),
        format!("--tls-cert-file={PKI}/controller-manager-serving.crt"),
        format!("--tls-private-key-file={PKI}/controller-manager-serving.key"),
    ];
    ours("controllers", "controllers", arguments)
}

fn scheduler() -> Service {
    let arguments = vec![
        format!("--kubeconfig={CONFIGS}/scheduler.kubeconfig"),
        format!("--tls-cert-file={PKI}/scheduler-serving.crt"),
        format!("--tls-private-key-file={PKI}/scheduler-serving.key"),
    ];
    ours("scheduler", "scheduler", arguments)
}

fn fake_node(host: &Host) -> Service {
    let arguments = vec![
        format!("--kubeconfig={CONFIGS}/fake-nodes.kubeconfig"),
        "--nodes=1".to_owned(),
        format!("--name-prefix={}-fake-", host.name),
    ];
    ours("fake-nodes", "fake-nodes", arguments)
}

fn runtime() -> Service {
    Service {
        name: "containerd".to_owned(),
        program: "containerd".to_owned(),
        arguments: vec!["--config=/etc/containerd/config.toml".to_owned()],
        environment: BTreeMap::new(),
    }
}

fn network(cluster: &Cluster, host: &Host) -> Service {
    let arguments = vec![
        "network".to_owned(),
        format!("--kubeconfig={CONFIGS}/network.kubeconfig"),
        format!("--node-name={}", host.name),
        format!("--address={}", host.address),
        format!("--cluster-cidr={}", cluster.pod_cidr),
    ];
    ours("network", "mainstay", arguments)
}

fn kubelet(cluster: &Cluster, host: &Host) -> Service {
    let arguments = vec![
        format!("--bootstrap-kubeconfig={CONFIGS}/bootstrap-kubelet.kubeconfig"),
        format!("--kubeconfig={CONFIGS}/kubelet.kubeconfig"),
        "--rotate-certificates=true".to_owned(),
        format!("--tls-cert-file={PKI}/kubelet-serving.crt"),
        format!("--tls-private-key-file={PKI}/kubelet-serving.key"),
        format!("--client-ca-file={PKI}/ca.crt"),
        "--anonymous-auth=false".to_owned(),
        "--authentication-token-webhook=true".to_owned(),
        "--authorization-mode=Webhook".to_owned(),
        format!("--hostname-override={}", host.name),
        format!("--node-ip={}", host.address),
        format!("--cluster-dns={}", cluster.service(DNS_SERVICE)),
        "--cluster-domain=cluster.local".to_owned(),
    ];
    ours("kubelet", "kubelet", arguments)
}

fn proxy(cluster: &Cluster, host: &Host) -> Service {
    let arguments = vec![
        format!("--kubeconfig={CONFIGS}/proxy.kubeconfig"),
        format!("--hostname-override={}", host.name),
        format!("--cluster-cidr={}", cluster.pod_cidr),
    ];
    ours("proxy", "proxy", arguments)
}

fn servers(cluster: &Cluster) -> String {
    let servers = cluster
        .masters()
        .map(|master| SocketAddr::from((master.address, API_PORT)).to_string());
    servers.collect::<Vec<_>>().join(",")
}
