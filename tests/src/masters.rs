//! Two apiservers on one store behind one address, and a way to break what a client sees of them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mainstay_proto::etcdserverpb::{CompactionRequest, StatusRequest};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

use crate::Cluster;
use crate::apiserver::{Apiserver, Said};
use crate::front::{Front, To};

/// The servers, one of which serves whoever comes through the front.
#[derive(Debug)]
pub struct Masters {
    servers: [Apiserver; 2],
    serving: usize,
    front: Front,
    cluster: Cluster,
}

impl Masters {
    /// A store of one member with two servers, both ready.
    pub async fn start() -> Self {
        let cluster = Cluster::start(1).await;
        let first = Apiserver::start(&cluster, None).await;
        let second = Apiserver::start(&cluster, Some(first.pki())).await;
        let front = Front::of(first.port());
        let masters = Self {
            servers: [first, second],
            serving: 0,
            front,
            cluster,
        };
        masters.write_kubeconfig(masters.front.port(), &masters.kubeconfig());
        masters.write_kubeconfig(masters.servers[1].port(), &masters.other_kubeconfig());
        masters
    }

    /// A kubeconfig of the administrator that leads through the front.
    pub fn kubeconfig(&self) -> PathBuf {
        self.servers[0].pki().join("front.kubeconfig")
    }

    /// A kubeconfig that leads to the second server, whoever serves.
    pub fn other_kubeconfig(&self) -> PathBuf {
        self.servers[0].pki().join("other.kubeconfig")
    }

    /// The administrator's kubeconfig with another address.
    fn write_kubeconfig(&self, port: u16, path: &Path) {
        let own = std::fs::read_to_string(self.servers[0].kubeconfig());
        let own = own.expect("the first server wrote it");
        let first = format!("https://127.0.0.1:{}", self.servers[0].port());
        assert!(own.contains(&first), "the kubeconfig names the server");
        let text = own.replace(&first, &format!("https://127.0.0.1:{port}"));
        std::fs::write(path, text).expect("the folder of keys is writable");
    }

    /// `kill -9` of the server that serves: clients are refused until [`Self::run`] or [`Self::switch`].
    pub fn kill(&mut self) {
        self.servers[self.serving].kill();
        self.front.point(To::Nowhere);
    }

    /// Ends it as an operator would; whether it ended with 0.
    pub async fn terminate(&mut self) -> bool {
        self.front.point(To::Draining);
        self.servers[self.serving].terminate().await
    }

    /// Starts it again and waits until it is ready.
    pub async fn run(&mut self) {
        let server = &mut self.servers[self.serving];
        server.run().await;
        self.front.point(To::Port(server.port()));
    }

    /// The store.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether watches go on where they were after their server is started again. On an etcd whose progress reports
    /// cannot be relied on, a server knows nothing from before its start, and they begin with a list.
    pub fn resumes(&self) -> bool {
        let (major, minor, patch) = self.cluster.server().version();
        match (major, minor) {
            (3, 4) => patch >= 31,
            (3, 5) => patch >= 13,
            other => other >= (3, 6),
        }
    }

    /// Lets the other server serve from now on.
    pub fn switch(&mut self) {
        self.serving = 1 - self.serving;
        self.front
            .point(To::Port(self.servers[self.serving].port()));
    }

    /// Runs tests of a client in another process, and gives what they printed and whether they succeeded.
    ///
    /// They find a kubeconfig in `MAINSTAY_KUBECONFIG`, and in `MAINSTAY_CONTROL` the address of a socket where one
    /// line asks and one line answers: `kill`, `terminate` and `start` are for the server that serves; `switch` and
    /// `compact` are [`Self::switch`] and [`compact`]. The answer is `ok` or `error TEXT`. `MAINSTAY_RESUMES` is
    /// [`Self::resumes`]. Panics after `deadline`.
    pub async fn drive(&mut self, mut tests: Command, deadline: Duration) -> Said {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("there is a free port");
        let address = listener.local_addr().expect("the listener is bound");
        tests
            .env("MAINSTAY_KUBECONFIG", self.kubeconfig())
            .env("MAINSTAY_CONTROL", address.to_string())
            .env("MAINSTAY_RESUMES", self.resumes().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let running = tests.spawn().expect("the tests start").wait_with_output();
        let output = tokio::select! {
            output = timeout(deadline, running) => output.expect("the tests end").expect("their output is read"),
            () = self.obey(listener) => unreachable!("the control socket stays open"),
        };
        Said::of(&output)
    }

    async fn obey(&mut self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that goes away mid-line has nothing more to ask.
            let _ = self.converse(stream).await;
        }
    }

    async fn converse(&mut self, stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        while let Some(line) = lines.next_line().await? {
            let answer = match line.as_str() {
                "kill" => {
                    self.kill();
                    "ok"
                }
                "terminate" => match self.terminate().await {
                    true => "ok",
                    false => "error the server did not end with 0",
                },
                "start" => {
                    self.run().await;
                    "ok"
                }
                "switch" => {
                    self.switch();
                    "ok"
                }
                "compact" => {
                    compact(&self.cluster).await;
                    "ok"
                }
                _ => "error unknown request",
            };
            writer.write_all(format!("{answer}\n").as_bytes()).await?;
        }
        Ok(())
    }
}

/// Drops all history of a store.
pub async fn compact(cluster: &Cluster) {
    let raw = cluster.raw(0);
    let status = raw.status(StatusRequest {}).await.expect("the store runs");
    let revision = status.header.expect("answers have headers").revision;
    let request = CompactionRequest {
        revision,
        physical: true,
    };
    raw.compact(request).await.expect("the store compacts");
}
