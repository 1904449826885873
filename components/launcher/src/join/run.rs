//! From a machine to a node that is ready.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::time::sleep;

use super::discover::authority;
use super::flags::Join;
use super::joined::Joined;
use super::layout::{LAYOUT, Layout};
use super::services::Services;
use crate::cluster::{Cluster, Lock};
use crate::command::run;
use crate::host::{MachineLock, forward};
use crate::limits::{
    BALANCER_PORT, BOOTSTRAP_PATIENCE, KUBELET_PORT, POLL_PAUSE, PROGRESS_PAUSE, READY_PATIENCE,
    RUNTIME_PATIENCE,
};
use crate::pki::{Token, token_kubeconfig};
use crate::screen::say;
use crate::up::{NAMESPACE, is_ready, wait};
use crate::{containerd, doctor, files, machine, stock};

/// Marks our route to the hosts. That of the pods' network would be taken away by it.
pub(super) const PROTOCOL: &str = "110";
const BOOTSTRAP: &str = "bootstrap-kubelet.kubeconfig";

/// Joins, or starts again what has joined before, and waits until the node is ready.
pub(crate) fn join(root: &Path, flags: &Join) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("a node needs root: use sudo");
    }
    if let Some(missing) = doctor::missing_for_containers().first() {
        bail!("{missing} ('mainstay doctor' says more)");
    }
    let begun = Instant::now();
    let _lock = Lock::take(root)?;
    if Cluster::read(root)?.is_some() {
        bail!(
            "{} has a cluster of its own: choose another folder with --dir",
            root.display()
        );
    }
    let known = Joined::read(root)?;
    let joined = match known.filter(|known| known.kubeconfig().exists()) {
        Some(known) => again(known, flags)?,
        None => first(root, flags)?,
    };
    start(&joined)?;
    say(format!(
        "\nThe node {} is ready after {:.1} s. Where the cluster's administrator is:\n\n  \
         kubectl get nodes -o wide\n  \
         kubectl get csr                       # {}'s request for a serving certificate is pending:\n  \
         kubectl certificate approve NAME      # with it 'kubectl logs' and 'kubectl exec' reach this node\n\n\
         'mainstay status' and 'mainstay logs kubelet' tell more here. After a restart of the machine 'mainstay join' starts all of it again; 'mainstay leave' ends it, \
         and 'kubectl delete node {}' takes the node away.",
        joined.name,
        begun.elapsed().as_secs_f64(),
        joined.name,
        joined.name,
    ));
    Ok(())
}

/// What was joined does not change; its token may have ended.
fn again(known: Joined, flags: &Join) -> Result<Joined> {
    let same = flags.server.is_none_or(|server| server == known.server)
        && flags.name.as_ref().is_none_or(|name| *name == known.name)
        && flags.node_ip.is_none_or(|address| address == known.address);
    if !same {
        bail!(
            "this machine has joined {} as {} with the address {}: 'mainstay leave' first",
            known.server,
            known.name,
            known.address
        );
    }
    Ok(known)
}

/// Finds out whom to trust and how the cluster is laid out, and writes that down.
fn first(root: &Path, flags: &Join) -> Result<Joined> {
    let asked = (
        flags.server,
        &flags.token,
        flags.discovery_token_ca_cert_hash,
    );
    let (Some(server), Some(token), Some(pin)) = asked else {
        bail!(
            "ADDRESS:PORT, --token and --discovery-token-ca-cert-hash are needed: \
             'mainstay token create --print-join-command' shows them where the cluster is"
        );
    };
    let token = Token::parse(token).context(
        "--token is no token such as abcdef.0123456789abcdef: six and sixteen lower-case letters and digits",
    )?;
    let name = match &flags.name {
        Some(name) => name.clone(),
        None => files::read(Path::new("/proc/sys/kernel/hostname"))?
            .trim()
            .to_lowercase(),
    };
    let address = match flags.node_ip {
        Some(address) => address,
        None => own_address(server)?,
    };
    let (ca, layout) = wait(async {
        let ca = authority(server, &token, pin).await?;
        let text = token_kubeconfig(&format!("https://{server}"), "join", &ca, &token.text());
        let client = client(Kubeconfig::from_yaml(&text)?).await?;
        let nodes: Api<Node> = Api::all(client.clone());
        if nodes.get_opt(&name).await?.as_ref().is_some_and(is_ready) {
            bail!(
                "the cluster has a node {name} that is ready: choose another name with --name, or take that one away"
            );
        }
        Ok((ca, layout(client).await?))
    })?;
    say(format!("the cluster at {server} is the right one"));
    let joined = Joined {
        server,
        name,
        address,
        layout,
        root: root.to_owned(),
    };
    files::secret_folder(&joined.etc(""))?;
    files::write(&joined.etc("ca.crt"), ca.as_bytes(), 0o644)?;
    let local = format!("https://127.0.0.1:{BALANCER_PORT}");
    let text = token_kubeconfig(&local, "kubelet-bootstrap", &ca, &token.text());
    files::write(&joined.etc(BOOTSTRAP), text.as_bytes(), 0o600)?;
    joined.write()?;
    Ok(joined)
}

async fn client(config: Kubeconfig) -> Result<Client> {
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

async fn layout(client: Client) -> Result<Layout> {
    let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let map = maps.get(LAYOUT).await;
    let map = map.context(
        "the cluster does not tell how it is laid out: it is not one of 'mainstay up', or the token is for something else",
    )?;
    let data = serde_json::to_value(map.data)?;
    serde_json::from_value(data).context("how the cluster is laid out")
}

/// That with which this machine reaches another one. Nothing is sent.
fn own_address(server: SocketAddrV4) -> Result<Ipv4Addr> {
    let found = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect(server)?;
        socket.local_addr()
    });
    match found.with_context(|| format!("this machine has no route to {server}"))? {
        std::net::SocketAddr::V4(address) => Ok(*address.ip()),
        std::net::SocketAddr::V6(_) => bail!("this machine's address is not known: use --node-ip"),
    }
}

/// Another kubelet's, for example. What would only be tried again and again is said at once.
fn ports_are_free(joined: &Joined) -> Result<()> {
    if machine::first_in(&joined.machine()).is_some() {
        return Ok(());
    }
    machine::sweep_in(&joined.machine())?;
    for port in [BALANCER_PORT, KUBELET_PORT] {
        let tried = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        tried.with_context(|| {
            format!("port {port}, which a node needs, is in use by another program")
        })?;
    }
    Ok(())
}

/// Starts what does not run, as often as it is called.
fn start(joined: &Joined) -> Result<()> {
    ports_are_free(joined)?;
    let this = std::env::current_exe().context("this program's path")?;
    let services = Services {
        joined,
        this: &this,
    };
    let places = joined.runtime();
    for folder in [&places.state, &places.cni, &places.registries] {
        files::folder(folder)?;
    }
    containerd::configure_at(&joined.etc("containerd.toml"), &places)?;
    stock::fill(&joined.images())?;
    let lock = MachineLock::take()?;
    forward(&lock)?;
    route(joined)?;
    drop(lock);
    let has_certificate = joined.kubeconfig().exists();
    let begin = match has_certificate {
        true => services.all(),
        false => services.first(),
    };
    machine::keep(&joined.machine(), &begin, &this)?;
    images(joined)?;
    wait(async {
        if !has_certificate {
            let path = joined.kubeconfig();
            let written = async || match path.exists() {
                true => Ok(()),
                false => Err("no answer to its request".to_owned()),
            };
            until(
                joined,
                "kubelet",
                "its certificate",
                BOOTSTRAP_PATIENCE,
                written,
            )
            .await?;
            machine::keep(&joined.machine(), &services.all(), &this)?;
        }
        let client = client(Kubeconfig::read_from(joined.kubeconfig())?).await?;
        let nodes: Api<Node> = Api::all(client);
        let ready = async || match nodes.get(&joined.name).await {
            Ok(node) if is_ready(&node) => Ok(()),
            Ok(node) => Err(unready(&node)),
            Err(error) => Err(error.to_string()),
        };
        until(joined, "kubelet", "the node", READY_PATIENCE, ready).await
    })
}

/// Why a node is not ready, in its own words.
fn unready(node: &Node) -> String {
    let status = node.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    let ready = conditions.find(|one| one.type_ == "Ready");
    let message = ready.and_then(|one| one.message.clone());
    message.unwrap_or_else(|| "it does not say why".to_owned())
}

/// The way to the hosts on the other machine: to the nodes of its pods, and to the apiservers for the pods here.
fn route(joined: &Joined) -> Result<()> {
    let (hosts, via) = (
        joined.layout.hosts.to_string(),
        joined.server.ip().to_string(),
    );
    let there = run("ip", &["-4", "route", "show", "exact", &hosts])?;
    // Whoever made another one knows better.
    if !there.trim().is_empty() && !there.contains(&format!("proto {PROTOCOL}")) {
        return Ok(());
    }
    let added = run(
        "ip",
        &["route", "replace", &hosts, "via", &via, "proto", PROTOCOL],
    );
    added.map(|_| ()).with_context(|| {
        format!(
            "{via} is not on a segment of this machine's: see to a route to {hosts} by way of it, then join again"
        )
    })
}

/// Gives the runtime the images that are made here.
fn images(joined: &Joined) -> Result<()> {
    let socket = joined.runtime().socket();
    let begun = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        if begun.elapsed() > RUNTIME_PATIENCE {
            bail!("containerd does not answer at {}", socket.display());
        }
        std::thread::sleep(POLL_PAUSE);
    }
    let socket = socket.display().to_string();
    let ctr = ["--address", &socket, "--namespace", "k8s.io", "images"];
    let names = run("ctr", &[&ctr[..], &["list", "--quiet"]].concat())?;
    for (name, archive) in stock::archives(&joined.images()) {
        if !names.lines().any(|known| known == name) {
            let archive = archive.display().to_string();
            run("ctr", &[&ctr[..], &["import", &archive]].concat())?;
        }
    }
    Ok(())
}

/// Looks until something is so, and says from time to time why it is not yet.
async fn until(
    joined: &Joined,
    process: &str,
    what: &str,
    limit: Duration,
    look: impl AsyncFn() -> Result<(), String>,
) -> Result<()> {
    let begun = Instant::now();
    let mut told = begun;
    while let Err(why) = look().await {
        let seconds = begun.elapsed().as_secs();
        if begun.elapsed() > limit {
            let logs = joined.machine().join("logs");
            bail!(
                "{what} is not there after {seconds} s: {why} (see {}; 'mainstay join' goes on from here)",
                logs.join(format!("{process}.log")).display()
            );
        }
        if told.elapsed() > PROGRESS_PAUSE {
            say(format!("waiting for {what} ({seconds} s): {why}"));
            told = Instant::now();
        }
        sleep(POLL_PAUSE * 5).await;
    }
    Ok(())
}
