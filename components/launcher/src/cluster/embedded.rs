//! A control plane without hosts: plain processes of one machine on ports of 127.0.0.1, with fake nodes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::Cluster;
use super::services::starts;
use crate::limits::{API_PORT, EMBEDDED_MEMBERS_MAX, EMBEDDED_NODES_MAX, PORT_SHIFT, PORT_SHIFTS};
use crate::supervise::Service;

/// Ports of a store of etcd's, for clients and for members.
const CLIENT_PORT: u16 = 2_379;
const PEER_PORT: u16 = 2_380;
/// Between the ports of one member and those of the next, as in etcd's own examples: 2379, 22379, 32379.
const MEMBER_STEP: u16 = 10_000;
const CONTROLLERS_PORT: u16 = 10_257;
const SCHEDULER_PORT: u16 = 10_259;
const FAKE_NODES_PORT: u16 = 10_270;
/// Over which fake nodes are spread.
const ZONES: u16 = 3;

/// What it consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Embedded {
    pub(crate) members: Vec<Member>,
    /// Ports for health and figures.
    controllers: u16,
    scheduler: u16,
    fake_nodes: u16,
    pub(crate) nodes: usize,
}

/// A member of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    client: u16,
    peer: u16,
}

impl Member {
    pub(crate) fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.client)
    }
}

impl Embedded {
    /// A new one on the ports that everybody expects, or on others when one of those is taken; and the apiserver's.
    pub(crate) fn choose(members: usize, nodes: usize) -> Result<(u16, Self)> {
        if members == 0 || members > EMBEDDED_MEMBERS_MAX {
            bail!("1 to {EMBEDDED_MEMBERS_MAX} members of the store are possible without hosts");
        }
        for shift in (0..PORT_SHIFTS).map(|number| number * PORT_SHIFT) {
            let chosen = Self::shifted(members, nodes, shift);
            if chosen.taken(API_PORT + shift).is_none() {
                return Ok((API_PORT + shift, chosen));
            }
        }
        bail!("ports of 127.0.0.1 are taken wherever they were looked for")
    }

    fn shifted(members: usize, nodes: usize, shift: u16) -> Self {
        let member = |number: u16| {
            let step = match number {
                1 => shift,
                number => number * MEMBER_STEP + shift,
            };
            Member {
                name: format!("m{number}"),
                client: CLIENT_PORT + step,
                peer: PEER_PORT + step,
            }
        };
        Self {
            members: (1..).take(members).map(member).collect(),
            controllers: CONTROLLERS_PORT + shift,
            scheduler: SCHEDULER_PORT + shift,
            fake_nodes: FAKE_NODES_PORT + shift,
            nodes,
        }
    }

    /// The first of its ports that somebody listens on.
    pub(crate) fn taken(&self, api: u16) -> Option<u16> {
        let mut ports = vec![api, self.controllers, self.scheduler, self.fake_nodes];
        ports.extend(self.members.iter().flat_map(|one| [one.client, one.peer]));
        ports
            .into_iter()
            .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err())
    }

    /// Takes other numbers than those it was made with: nodes come and go, members stay.
    pub(crate) fn resize(&mut self, members: usize, nodes: usize) -> Result<()> {
        if members != self.members.len() {
            bail!(
                "the cluster has {} members of the store, which cannot become {members} afterwards",
                self.members.len()
            );
        }
        if nodes > EMBEDDED_NODES_MAX {
            bail!("up to {EMBEDDED_NODES_MAX} fake nodes are possible");
        }
        self.nodes = nodes;
        Ok(())
    }

    pub(crate) fn endpoints(&self) -> String {
        let endpoints: Vec<String> = self.members.iter().map(Member::endpoint).collect();
        endpoints.join(",")
    }

    /// Everything that runs, in the order of starting; `programs` is where our programs lie.
    pub(super) fn services(&self, cluster: &Cluster, programs: &Path) -> Vec<Service> {
        let peers: Vec<String> = self
            .members
            .iter()
            .map(|one| format!("{}=http://127.0.0.1:{}", one.name, one.peer))
            .collect();
        let mut services: Vec<Service> = self
            .members
            .iter()
            .map(|one| store(cluster, one, &peers.join(","), programs))
            .collect();
        services.push(self.apiserver(cluster, programs));
        let home = cluster.folders().machine();
        let pki = cluster.folders().pki();
        let of_pki = |flag: &str, file: &str| format!("--{flag}={}", pki.join(file).display());
        let mut component = |name: &str, config: &str, port: u16, more: Vec<String>| {
            let config = home.join(format!("{config}.kubeconfig"));
            let mut arguments = vec![
                format!("--kubeconfig={}", config.display()),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={port}"),
            ];
            arguments.extend(more);
            services.push(service(name, name, programs, arguments));
        };
        component(
            "controllers",
            "controller-manager",
            self.controllers,
            vec![
                of_pki("root-ca-file", "ca.crt"),
                of_pki("cluster-signing-cert-file", "ca.crt"),
                of_pki("cluster-signing-key-file", "ca.key"),
                of_pki("service-account-private-key-file", "sa.key"),
            ],
        );
        component("scheduler", "scheduler", self.scheduler, Vec::new());
        component(
            FAKE_NODES,
            FAKE_NODES,
            self.fake_nodes,
            vec![
                format!("--nodes={}", self.nodes),
                format!("--zones={ZONES}"),
            ],
        );
        services.retain(|service| starts(cluster, service));
        services
    }

    fn apiserver(&self, cluster: &Cluster, programs: &Path) -> Service {
        let pki = cluster.folders().pki();
        let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
        let own = cluster.folders().machine().join("pki");
        let servers: Vec<String> = self
            .members
            .iter()
            .map(|one| format!("http://{}", one.endpoint()))
            .collect();
        let arguments = vec![
            format!("--etcd-servers={}", servers.join(",")),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", cluster.port),
            file("cert-dir", &own.join("made")),
            file("tls-cert-file", &own.join("apiserver.crt")),
            file("tls-private-key-file", &own.join("apiserver.key")),
            file("client-ca-file", &pki.join("ca.crt")),
            file("service-account-key-file", &pki.join("sa.pub")),
            file("service-account-signing-key-file", &pki.join("sa.key")),
            format!("--service-cluster-ip-range={}", cluster.service_cidr),
        ];
        service("apiserver", "apiserver", programs, arguments)
    }
}

/// The program, its process and its kubeconfig.
const FAKE_NODES: &str = "fake-nodes";

fn store(cluster: &Cluster, member: &Member, peers: &str, programs: &Path) -> Service {
    let data = cluster.folders().machine().join("data").join(&member.name);
    let (client, peer) = (member.client, member.peer);
    let arguments = vec![
        format!("--name={}", member.name),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls=http://127.0.0.1:{client}"),
        format!("--advertise-client-urls=http://127.0.0.1:{client}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-cluster={peers}"),
        format!("--initial-cluster-token=mainstay-{}", cluster.id),
    ];
    service(&member.name, "kvstore", programs, arguments)
}

fn service(name: &str, program: &str, programs: &Path, arguments: Vec<String>) -> Service {
    Service {
        name: name.to_owned(),
        program: programs.join(program).display().to_string(),
        arguments,
        environment: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_the_ports_of_etcds_examples() {
        let three = Embedded::shifted(3, 5, 0);
        assert_eq!(
            three.endpoints(),
            "127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379"
        );
        let last = (PORT_SHIFTS - 1) * PORT_SHIFT;
        let most = Embedded::shifted(EMBEDDED_MEMBERS_MAX, 5, last);
        let fifth = most.members.last().expect("there are some");
        assert!(fifth.peer > fifth.client, "no port is beyond the last one");
    }

    #[test]
    fn ports_that_are_taken_are_left_alone() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let mut one = Embedded::shifted(1, 5, 0);
        one.members[0].client = port;
        assert!(one.taken(1).is_some());
        let (_, chosen) = Embedded::choose(1, 5).expect("some are free");
        assert_ne!(chosen.members[0].client, port);
        assert!(Embedded::choose(EMBEDDED_MEMBERS_MAX + 1, 5).is_err());
        assert!(one.resize(3, 5).is_err(), "members stay");
        one.resize(1, 7).expect("nodes come");
        assert_eq!(one.nodes, 7);
    }

    #[test]
    fn who_needs_rights_waits_for_them() {
        let embedded = Embedded::shifted(3, 5, 0);
        let mut cluster = Cluster::embedded(Path::new("/run"), 6_443, embedded);
        let names = |cluster: &Cluster| -> Vec<String> {
            let embedded = cluster.embedded.as_ref().expect("it is embedded");
            let services = embedded.services(cluster, Path::new("/bin"));
            services.into_iter().map(|one| one.name).collect()
        };
        let first = ["m1", "m2", "m3", "apiserver"];
        assert_eq!(names(&cluster), first);
        cluster.furnished = true;
        let all = [first.as_slice(), &["controllers", "scheduler", FAKE_NODES]].concat();
        assert_eq!(names(&cluster), all);
    }
}
