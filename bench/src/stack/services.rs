//! How long it takes from an endpoint in the API until a service answers on another node.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, PostParams};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;
use tokio::time::sleep;

use super::cluster::Host;
use super::pods::{BUSYBOX, NAMESPACE};
use super::report::Times;
use crate::interrupt;
use crate::latency::Latency;
use crate::limits::{
    POD_RUNS_TIMEOUT, POLL_MAX, SERVICE_ANSWERS_TIMEOUT, SERVICE_CREATES, SERVICE_QUIET,
    SERVICE_TRY_PAUSE, SERVICE_TRY_TIMEOUT,
};

const PORT: u16 = 80;

/// Services that lead to one server, and somebody on another host who asks them.
pub(crate) struct Town {
    services: Api<Service>,
    slices: Api<EndpointSlice>,
    /// Of the server.
    address: String,
    asker: Asker,
    /// How many services there are.
    count: u64,
}

impl Town {
    /// # Errors
    /// If there are not two workers, or the server does not come to run.
    pub(crate) async fn build(client: &Client, hosts: &[Host]) -> Result<Self> {
        let workers: Vec<&Host> = hosts.iter().filter(|host| !host.is_master).collect();
        let [near, far, ..] = workers.as_slice() else {
            bail!("services are measured between two workers");
        };
        let town = Self {
            services: Api::namespaced(client.clone(), NAMESPACE),
            slices: Api::namespaced(client.clone(), NAMESPACE),
            address: serve(client, &near.name).await?,
            asker: Asker::start(far.first)?,
            count: 0,
        };
        Ok(town)
    }

    /// Adds services with an endpoint each until there are so many.
    ///
    /// # Errors
    /// If one cannot be created.
    pub(crate) async fn grow(&mut self, wanted: u64) -> Result<()> {
        let missing = stream::iter(self.count..wanted).map(|number| {
            let town = &*self;
            async move {
                let name = format!("filler-{number}");
                town.service(&name).await?;
                town.endpoint(&name).await
            }
        });
        let made: Vec<()> = missing
            .buffer_unordered(SERVICE_CREATES)
            .try_collect()
            .await?;
        self.count += made.len() as u64;
        Ok(())
    }

    /// Adds endpoints to services that have none, one at a time, and waits until each is answered. A proxy writes rules
    /// at most once a second: what comes after a quiet second need not wait for its turn.
    ///
    /// # Errors
    /// If a service does not answer.
    pub(crate) async fn measure(&mut self, samples: u64, after: After) -> Result<Times> {
        let count = self.count;
        let mut latency = Latency::new();
        for number in 0..samples {
            let name = format!("probe-{count}-{number}");
            let to = self.service(&name).await?;
            // Refused is what is known, and leads nowhere.
            self.asker.until(to, Answer::Refused).await?;
            if after == After::Quiet {
                sleep(SERVICE_QUIET).await;
            }
            self.endpoint(&name).await?;
            let there = Instant::now();
            let answered = self.asker.until(to, Answer::Good).await?;
            let ns = answered.saturating_duration_since(there).as_nanos();
            latency.record(u64::try_from(ns).unwrap_or(u64::MAX));
        }
        self.count += samples;
        let when = match after {
            After::Quiet => "after a quiet second",
            After::Change => "right after another change",
        };
        let what =
            format!("endpoint in the API → answered on another node, {count} services, {when}");
        Ok(Times::of(&what, &latency))
    }

    /// Makes one without endpoints. Returns its address.
    async fn service(&self, name: &str) -> Result<SocketAddr> {
        let service = json!({
            "metadata": {"name": name},
            "spec": {"ports": [{"name": "http", "port": PORT}]},
        });
        let service: Service = serde_json::from_value(service)?;
        let made = self
            .services
            .create(&PostParams::default(), &service)
            .await?;
        let address = made.spec.and_then(|spec| spec.cluster_ip);
        let address = address.context("a service without an address")?;
        Ok(SocketAddr::new(address.parse()?, PORT))
    }

    async fn endpoint(&self, name: &str) -> Result<()> {
        let slice = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [self.address], "conditions": {"ready": true}}],
        });
        let slice: EndpointSlice = serde_json::from_value(slice)?;
        self.slices.create(&PostParams::default(), &slice).await?;
        Ok(())
    }
}

/// Starts the server on a node. Returns its address.
async fn serve(client: &Client, node: &str) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let command = ["httpd", "-f", "-p", "8080", "-h", "/etc"];
    let pod = json!({
        "metadata": {"name": "server"},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "containers": [{"name": "a", "image": BUSYBOX, "command": command,
                "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}],
        },
    });
    let pod: Pod = serde_json::from_value(pod)?;
    pods.create(&PostParams::default(), &pod).await?;
    let begun = Instant::now();
    loop {
        let status = pods.get("server").await?.status.unwrap_or_default();
        let mut statuses = status.container_statuses.iter().flatten();
        if let (true, Some(address)) = (statuses.any(|one| one.ready), status.pod_ip) {
            return Ok(address);
        }
        ensure!(
            begun.elapsed() < POD_RUNS_TIMEOUT,
            "the server does not run"
        );
        sleep(POLL_MAX).await;
    }
}

/// What a proxy did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Quiet,
    /// It has only just written the service.
    Change,
}

/// What came of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Refused,
    Good,
}

/// A thread in the network of a host.
struct Asker {
    questions: SyncSender<(SocketAddr, Answer)>,
    answers: Receiver<Option<Instant>>,
}

impl Asker {
    /// In the network of the process with this id.
    fn start(process: u32) -> Result<Self> {
        let path = format!("/proc/{process}/ns/net");
        let network = File::open(&path).context(path)?;
        let (questions, asked) = sync_channel(1);
        let (tell, answers) = sync_channel(1);
        thread::Builder::new()
            .name("asker".to_owned())
            .spawn(move || {
                let kind = Some(LinkNameSpaceType::Network);
                let inside = move_into_link_name_space(network.as_fd(), kind).is_ok();
                while let Ok((to, wanted)) = asked.recv() {
                    let answer = inside.then(|| until(to, wanted)).flatten();
                    if tell.send(answer).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self { questions, answers })
    }

    /// When the address first answered as wanted. The caller's thread stays free meanwhile.
    async fn until(&self, to: SocketAddr, wanted: Answer) -> Result<Instant> {
        self.questions
            .send((to, wanted))
            .context("the asker ended")?;
        loop {
            match self.answers.try_recv() {
                Ok(answer) => return answer.with_context(|| format!("{to} is never {wanted:?}")),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => bail!("the asker ended"),
                Err(std::sync::mpsc::TryRecvError::Empty) => sleep(Duration::from_millis(1)).await,
            }
        }
    }
}

fn until(to: SocketAddr, wanted: Answer) -> Option<Instant> {
    let begun = Instant::now();
    while begun.elapsed() < SERVICE_ANSWERS_TIMEOUT && !interrupt::requested() {
        if ask(to) == Some(wanted) {
            return Some(Instant::now());
        }
        thread::sleep(SERVICE_TRY_PAUSE);
    }
    None
}

fn ask(to: SocketAddr) -> Option<Answer> {
    let answer = TcpStream::connect_timeout(&to, SERVICE_TRY_TIMEOUT).and_then(|mut stream| {
        stream.set_read_timeout(Some(SERVICE_TRY_TIMEOUT))?;
        stream.write_all(b"GET /hostname HTTP/1.0\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head)
    });
    match answer {
        Ok(head) => head.starts_with(b"HTTP/1").then_some(Answer::Good),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Some(Answer::Refused),
        Err(_) => None,
    }
}
