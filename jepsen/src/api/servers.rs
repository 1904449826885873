//! Apiserver processes, and proxies between them and the members of the store where a nemesis cuts these off.

use super::http::{Conn, Identity};
use super::plan::ApiPlan;
use crate::limits::{API_READY_DEADLINE, POLL_INTERVAL, PROBE_DEADLINE};
use anyhow::{Context, Result, bail};
use mainstay_faults::process::Spec;
use mainstay_faults::proxy::{LinkRule, Proxy, ProxySpec, Shape, Sources};
use mainstay_faults::{Party, Process, Proof, Run};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PORT: u16 = 6443;
const STORE_PORT: u16 = 2379;
/// Few addresses and ports, so that they run out and are used again.
const ADDRESSES: &str = "10.96.0.0/25";
const PORTS: &str = "30000-30047";

/// All apiservers of a run. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Servers {
    servers: Vec<One>,
    pki: PathBuf,
    run: Run,
}

#[derive(Debug)]
struct One {
    process: Process,
    /// Whether the harness has ended it on purpose and not started it again.
    down: bool,
    /// To each member, in order; empty without a nemesis that cuts.
    proxies: Vec<Proxy>,
}

/// Where an apiserver's log is.
pub(super) fn log_path(dir: &Path, server: usize) -> PathBuf {
    dir.join(format!("s{server}.log"))
}

impl Servers {
    /// Starts all, without waiting for them but for the first one's keys. `members` are the store's addresses.
    pub(super) fn start(plan: &ApiPlan, members: &[SocketAddr], logs: &Path) -> Result<Self> {
        let run = Run::claim().context("claiming a place for apiservers")?;
        let pki = run.dir().join("pki");
        let mut all = Self {
            servers: Vec::new(),
            pki,
            run,
        };
        let proxied = plan.nemeses.iter().any(|nemesis| nemesis.needs_proxies());
        for server in 0..plan.servers {
            let proxies = match proxied {
                true => all.proxies(server, members)?,
                false => Vec::new(),
            };
            let store: Vec<String> = match proxied {
                true => proxies.iter().map(|proxy| url(proxy.listen())).collect(),
                false => members.iter().map(|member| url(*member)).collect(),
            };
            let spec = all.spec(plan, server, &store, logs);
            let process = Process::spawn(spec).with_context(|| format!("starting s{server}"))?;
            all.servers.push(One {
                process,
                down: false,
                proxies,
            });
            all.wait_for_keys()?;
        }
        Ok(all)
    }

    fn proxies(&self, server: usize, members: &[SocketAddr]) -> Result<Vec<Proxy>> {
        let proxy = |(member, target): (usize, &SocketAddr)| {
            let listen = self.address(3, server * 10 + member, STORE_PORT);
            // Whatever comes over loopback to such a proxy is its apiserver.
            let caller = IpAddr::V4(Ipv4Addr::LOCALHOST);
            Proxy::start(ProxySpec {
                listen,
                target: *target,
                namespace: None,
                sources: Sources::ByAddress(BTreeMap::from([(caller, Party::Clients)])),
            })
        };
        let proxies: Result<_, _> = members.iter().enumerate().map(proxy).collect();
        proxies.with_context(|| format!("proxies of s{server}"))
    }

    fn address(&self, net: u8, host: usize, port: u16) -> SocketAddr {
        let host = 11 + u8::try_from(host).expect("there are few servers");
        SocketAddr::new(
            Ipv4Addr::new(127, 100 + self.run.slot(), net, host).into(),
            port,
        )
    }

    fn spec(&self, plan: &ApiPlan, server: usize, store: &[String], logs: &Path) -> Spec {
        let address = self.address(2, server, PORT);
        let args = [
            format!("--etcd-servers={}", store.join(",")),
            format!("--bind-address={}", address.ip()),
            format!("--secure-port={}", address.port()),
            format!("--cert-dir={}", self.pki.display()),
            format!("--service-cluster-ip-range={ADDRESSES}"),
            format!("--service-node-port-range={PORTS}"),
        ];
        let mut spec = Spec::new(&plan.binary, log_path(logs, server)).args(args);
        let env = plan.env.iter();
        spec.env = env
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        spec
    }

    fn wait_for_keys(&mut self) -> Result<()> {
        let begin = Instant::now();
        while !self.kubeconfig().is_file() {
            let first = &mut self.servers[0].process;
            if let Some(status) = first.exit_status() {
                bail!("s0 has ended: {status}; see {}", first.log().display());
            }
            if begin.elapsed() > API_READY_DEADLINE {
                bail!("s0 has made no keys within {API_READY_DEADLINE:?}");
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Where the administrator's certificate is.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.pki.join("admin.kubeconfig")
    }

    pub(super) fn len(&self) -> usize {
        self.servers.len()
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        (0..self.len())
            .map(|server| self.address(2, server, PORT))
            .collect()
    }

    /// Servers whose process exists.
    pub(super) fn running(&mut self) -> Vec<usize> {
        (0..self.len())
            .filter(|&server| self.servers[server].process.is_running())
            .collect()
    }

    /// Servers that ended although nobody ended them, and how.
    pub(super) fn died(&mut self) -> Vec<(usize, String)> {
        let died = |(server, one): (usize, &mut One)| {
            let status = one.process.exit_status()?;
            (!one.down).then(|| (server, status.to_string()))
        };
        self.servers
            .iter_mut()
            .enumerate()
            .filter_map(died)
            .collect()
    }

    pub(super) fn kill(&mut self, server: usize) -> Result<Proof> {
        let one = &mut self.servers[server];
        one.down = true;
        Ok(one.process.kill()?)
    }

    /// SIGTERM, and waits for the end; one that does not end is no proof of anything but that.
    pub(super) fn terminate(&mut self, server: usize, limit: Duration) -> Result<Proof> {
        let one = &mut self.servers[server];
        one.down = true;
        match one.process.terminate(limit) {
            Ok((status, took)) => {
                let text = format!("s{server} ended in {took:.1?}: {status}");
                Ok(Proof::when(status.success(), text))
            }
            Err(error) => {
                one.process.kill()?;
                bail!("s{server} did not end in order: {error}")
            }
        }
    }

    pub(super) fn pause(&mut self, server: usize) -> Result<Proof> {
        Ok(self.servers[server].process.pause()?)
    }

    /// Lets a server go on that has not been killed meanwhile.
    pub(super) fn resume(&mut self, server: usize) -> Result<()> {
        let process = &mut self.servers[server].process;
        if process.is_running() {
            process.resume()?;
        }
        Ok(())
    }

    /// Starts a server that does not run, without waiting for it.
    pub(super) fn restart(&mut self, server: usize) -> Result<()> {
        let one = &mut self.servers[server];
        if !one.process.is_running() {
            let again = one.process.restart();
            again.with_context(|| format!("starting s{server} again"))?;
        }
        one.down = false;
        Ok(())
    }

    /// Lets nothing pass between a server and this member, or all.
    pub(super) fn cut(&self, server: usize, member: Option<usize>, blocked: bool) {
        let rule = match blocked {
            true => LinkRule::both(Shape::stalled()),
            false => LinkRule::default(),
        };
        let proxies = self.servers[server].proxies.iter().enumerate();
        for (_, proxy) in proxies.filter(|(at, _)| member.is_none_or(|member| member == *at)) {
            proxy.set(Party::Clients, rule);
        }
    }

    /// Chunks held back, bytes that wait and connections, over all links of a server.
    pub(super) fn held(&self, server: usize) -> u64 {
        let proxies = self.servers[server].proxies.iter();
        let counters = proxies.flat_map(|proxy| proxy.counters().into_values());
        counters
            .map(|link| link.held_chunks + link.pending_bytes)
            .sum()
    }

    /// Ends all in order.
    pub(super) fn stop(&mut self, limit: Duration) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        for server in self.running() {
            match self.terminate(server, limit) {
                Ok(proof) if proof.acted => {}
                Ok(proof) => broken.push(proof.text),
                Err(error) => broken.push(error.to_string()),
            }
        }
        Ok(broken)
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Waits until a server says that it is ready.
pub(super) async fn wait_ready(
    address: SocketAddr,
    identity: &Identity,
    limit: Duration,
) -> Result<(), String> {
    let until = tokio::time::Instant::now() + limit;
    loop {
        let why = match Conn::open(address, identity, 0).await {
            Err(trouble) => trouble.text,
            Ok(mut conn) => {
                let request =
                    super::client::http_request(http::Method::GET, "/readyz?verbose", None, "");
                match conn.call(request, PROBE_DEADLINE).await {
                    Ok((200, _)) => return Ok(()),
                    Ok((status, body)) => {
                        let body = String::from_utf8_lossy(&body).into_owned();
                        let failed: Vec<&str> = body
                            .lines()
                            .filter(|line| line.starts_with("[-]"))
                            .collect();
                        format!("{status}: {}", failed.join("; "))
                    }
                    Err(trouble) => trouble.text,
                }
            }
        };
        if tokio::time::Instant::now() > until {
            return Err(why);
        }
        tokio::time::sleep(POLL_INTERVAL * 5).await;
    }
}
