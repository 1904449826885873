//! Which certificate goes where: under the names kubeadm gives them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::Result;
use rcgen::KeyPair;

use super::{Authority, Leaf, Token, kubeconfig, token_kubeconfig};
use crate::cluster::{Cluster, Host};
use crate::files;
use crate::limits::BALANCER_PORT;

/// Where hosts keep theirs, on their own disks.
const ON_HOST: &str = "etc/kubernetes";

/// A cluster's three authorities.
struct Authorities {
    cluster: Authority,
    etcd: Authority,
    front_proxy: Authority,
}

fn authorities(cluster: &Cluster) -> Result<Authorities> {
    let pki = cluster.folders().pki();
    files::secret_folder(&pki)?;
    Ok(Authorities {
        cluster: Authority::ensure(&pki, "ca", "kubernetes")?,
        etcd: Authority::ensure(&pki.join("etcd"), "ca", "etcd-ca")?,
        front_proxy: Authority::ensure(&pki, "front-proxy-ca", "front-proxy-ca")?,
    })
}

/// Makes what belongs to no host: authorities, the key of service-account tokens, the administrator's kubeconfig.
pub(crate) fn ensure(cluster: &Cluster) -> Result<()> {
    let authorities = authorities(cluster)?;
    let pki = cluster.folders().pki();
    let (private, public) = (pki.join("sa.key"), pki.join("sa.pub"));
    if !public.exists() {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        files::write(&private, key.serialize_pem().as_bytes(), 0o600)?;
        files::write(&public, key.public_key_pem().as_bytes(), 0o644)?;
    }
    if cluster.embedded.is_none() {
        Token::ensure(cluster)?;
    }
    let admin = client("kubernetes-admin", &["system:masters"]);
    authorities.cluster.keep(&pki.join("admin"), &admin)?;
    // For etcdctl, which needs a certificate where the store has any.
    let store = client("mainstay-admin", &[]);
    authorities.etcd.keep(&pki.join("etcd/admin"), &store)?;
    let text = store_access(cluster);
    files::update(&cluster.folders().store_access(), text.as_bytes(), 0o644)?;
    config(
        &authorities.cluster,
        &pki.join("admin"),
        "kubernetes-admin",
        &local(cluster.port),
        &cluster.folders().kubeconfig(),
    )
}

/// Where the store is and what it asks for, as the environment that etcdctl reads.
fn store_access(cluster: &Cluster) -> String {
    let mut text = "export ETCDCTL_API=3\n".to_owned();
    if let Some(embedded) = &cluster.embedded {
        text.push_str(&format!(
            "export ETCDCTL_ENDPOINTS={}\n",
            embedded.endpoints()
        ));
        return text;
    }
    let masters = cluster.masters();
    let masters: Vec<String> = masters
        .map(|master| format!("https://{}:2379", master.address))
        .collect();
    let etcd = cluster.folders().pki().join("etcd");
    text.push_str(&format!("export ETCDCTL_ENDPOINTS={}\n", masters.join(",")));
    for (name, file) in [
        ("CACERT", "ca.crt"),
        ("CERT", "admin.crt"),
        ("KEY", "admin.key"),
    ] {
        let path = etcd.join(file);
        text.push_str(&format!("export ETCDCTL_{name}='{}'\n", path.display()));
    }
    text
}

/// Makes what a control plane without hosts needs beside that.
pub(crate) fn equip_machine(cluster: &Cluster) -> Result<()> {
    let authority = authorities(cluster)?.cluster;
    let home = cluster.folders().machine();
    let pki = home.join("pki");
    files::secret_folder(&pki)?;
    let mut dns = IN_CLUSTER.map(String::from).to_vec();
    dns.push("localhost".to_owned());
    let serving = Leaf {
        name: "kube-apiserver".to_owned(),
        dns,
        addresses: vec![
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V4(cluster.service(1)),
        ],
        server: true,
        ..Leaf::default()
    };
    authority.keep(&pki.join("apiserver"), &serving)?;
    for (name, user) in [
        ("controller-manager", "system:kube-controller-manager"),
        ("scheduler", "system:kube-scheduler"),
        ("fake-nodes", "mainstay:fake-nodes"),
    ] {
        component(&authority, &home, name, &client(user, &[]), cluster.port)?;
    }
    Ok(())
}

/// Names of the apiservers for pods.
const IN_CLUSTER: [&str; 4] = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

fn local(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// Gives a host what it needs, and nothing else.
pub(crate) fn equip(cluster: &Cluster, host: &Host) -> Result<()> {
    let authorities = authorities(cluster)?;
    let home = cluster.folders().disk(&host.name).join(ON_HOST);
    let pki = home.join("pki");
    files::secret_folder(&pki)?;
    copy(&cluster.folders().pki(), &pki, "ca.crt", 0o644)?;
    match host.is_master() {
        true => equip_master(cluster, &authorities, host, &home)?,
        false => equip_worker(cluster, &authorities, host, &home)?,
    }
    let user = format!("mainstay:network:{}", host.name);
    let leaf = client(&user, &["mainstay:network"]);
    component(&authorities.cluster, &home, "network", &leaf, BALANCER_PORT)
}

fn equip_master(
    cluster: &Cluster,
    authorities: &Authorities,
    host: &Host,
    home: &Path,
) -> Result<()> {
    let (shared, pki) = (cluster.folders().pki(), home.join("pki"));
    for (file, mode) in [
        ("ca.key", 0o600),
        ("sa.key", 0o600),
        ("sa.pub", 0o644),
        ("front-proxy-ca.crt", 0o644),
        ("etcd/ca.crt", 0o644),
    ] {
        copy(&shared, &pki, file, mode)?;
    }
    let member = Leaf {
        client: true,
        ..server(host, &host.name, &[])
    };
    for place in ["etcd/server", "etcd/peer"] {
        authorities.etcd.keep(&pki.join(place), &member)?;
    }
    let name = "kube-apiserver-etcd-client";
    let leaf = client(name, &[]);
    authorities
        .etcd
        .keep(&pki.join("apiserver-etcd-client"), &leaf)?;
    let mut serving = server(host, "kube-apiserver", &IN_CLUSTER);
    serving.addresses.push(IpAddr::V4(cluster.service(1)));
    serving.addresses.extend(cluster.advertise.map(IpAddr::V4));
    authorities.cluster.keep(&pki.join("apiserver"), &serving)?;
    let leaf = client("kube-apiserver-kubelet-client", &["system:masters"]);
    authorities
        .cluster
        .keep(&pki.join("apiserver-kubelet-client"), &leaf)?;
    let leaf = client("front-proxy-client", &[]);
    authorities
        .front_proxy
        .keep(&pki.join("front-proxy-client"), &leaf)?;
    for (name, user) in [
        ("controller-manager", "system:kube-controller-manager"),
        ("scheduler", "system:kube-scheduler"),
    ] {
        let leaf = client(user, &[]);
        component(&authorities.cluster, home, name, &leaf, BALANCER_PORT)?;
        let serving = server(host, user, &[]);
        let place = pki.join(format!("{name}-serving"));
        authorities.cluster.keep(&place, &serving)?;
    }
    Ok(())
}

fn equip_worker(
    cluster: &Cluster,
    authorities: &Authorities,
    host: &Host,
    home: &Path,
) -> Result<()> {
    let user = format!("system:node:{}", host.name);
    let authority = &authorities.cluster;
    // Its kubelet asks for its own certificate, and keeps that and its kubeconfig itself.
    let bootstrap = token_kubeconfig(
        &local(BALANCER_PORT),
        "kubelet-bootstrap",
        &authority.pem()?,
        &Token::of(cluster)?.text(),
    );
    let path = home.join("bootstrap-kubelet.kubeconfig");
    files::update(&path, bootstrap.as_bytes(), 0o600)?;
    for (name, leaf) in [
        ("proxy", client("system:kube-proxy", &[])),
        ("fake-nodes", client("mainstay:fake-nodes", &[])),
    ] {
        component(authority, home, name, &leaf, BALANCER_PORT)?;
    }
    let serving = Leaf {
        groups: vec!["system:nodes"],
        ..server(host, &user, &[])
    };
    let place = home.join("pki/kubelet-serving");
    authority.keep(&place, &serving).map(|_| ())
}

/// A key, a certificate and a kubeconfig that points at a port of the own host.
fn component(authority: &Authority, home: &Path, name: &str, leaf: &Leaf, port: u16) -> Result<()> {
    let place = home.join("pki").join(name);
    authority.keep(&place, leaf)?;
    let path = home.join(format!("{name}.kubeconfig"));
    config(authority, &place, &leaf.name, &local(port), &path)
}

fn config(authority: &Authority, place: &Path, user: &str, url: &str, path: &Path) -> Result<()> {
    let (cert, key) = (place.with_extension("crt"), place.with_extension("key"));
    let (cert, key) = (files::read(&cert)?, files::read(&key)?);
    let text = kubeconfig(url, user, &authority.pem()?, &cert, &key);
    files::update(path, text.as_bytes(), 0o600).map(|_| ())
}

fn client(name: &str, groups: &[&'static str]) -> Leaf {
    Leaf {
        name: name.to_owned(),
        groups: groups.to_vec(),
        client: true,
        ..Leaf::default()
    }
}

/// For whoever reaches the host by its name, its address or from itself.
fn server(host: &Host, name: &str, more: &[&str]) -> Leaf {
    let mut dns = vec![host.name.clone(), "localhost".to_owned()];
    dns.extend(more.iter().map(|name| (*name).to_owned()));
    Leaf {
        name: name.to_owned(),
        dns,
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(host.address)],
        server: true,
        ..Leaf::default()
    }
}

fn copy(from: &Path, to: &Path, file: &str, mode: u32) -> Result<()> {
    let path = from.join(file);
    let bytes = fs::read(&path).map_err(anyhow::Error::from);
    let bytes = bytes.map_err(|error| error.context(path.display().to_string()))?;
    files::update(&to.join(file), &bytes, mode).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Wanted;
    use ipnet::Ipv4Net;

    #[test]
    fn workers_get_no_key_of_an_authority() {
        let folder = tempfile::tempdir().expect("a folder");
        let subnet = Ipv4Net::new_assert(Ipv4Addr::new(10, 240, 0, 0), 24);
        let mut cluster = Cluster::new(folder.path(), subnet, 6443, Vec::new());
        let wanted = Wanted {
            masters: 1,
            workers: 1,
        };
        cluster.grow(wanted).expect("room");
        ensure(&cluster).expect("made");
        for host in &cluster.hosts {
            equip(&cluster, host).expect("made");
        }
        let has = |host: &str, file: &str| {
            let home = cluster.folders().disk(host).join(ON_HOST);
            home.join(file).exists()
        };
        for file in [
            "pki/etcd/server.key",
            "pki/etcd/peer.crt",
            "pki/apiserver.crt",
            "pki/apiserver-etcd-client.key",
            "pki/apiserver-kubelet-client.key",
            "pki/front-proxy-client.crt",
            "pki/sa.key",
            "pki/ca.key",
            "controller-manager.kubeconfig",
            "scheduler.kubeconfig",
            "network.kubeconfig",
        ] {
            assert!(has("master-1", file), "{file}");
        }
        for file in [
            "bootstrap-kubelet.kubeconfig",
            "proxy.kubeconfig",
            "pki/kubelet-serving.key",
        ] {
            assert!(has("worker-1", file), "{file}");
        }
        for file in ["pki/ca.key", "pki/sa.key", "pki/etcd/ca.crt"] {
            assert!(!has("worker-1", file), "{file}");
        }
        assert!(!has("master-1", "pki/etcd/ca.key"));
        let config = files::read(&cluster.folders().kubeconfig()).expect("there");
        assert!(config.contains("server: https://127.0.0.1:6443"));
    }
}
