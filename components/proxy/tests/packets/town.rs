//! A node with three pods, a client in another network, and the proxy on the node.
//!
//! ```text
//! client 10.250.0.2 -- 10.250.0.1 node 10.244.1.1 -- 10.244.1.2 pod a (on this node, as slices tell)
//!                                      10.244.2.1 -- 10.244.2.2 pod b (on another)
//!                                      10.244.3.1 -- 10.244.3.2 pod c (on another)
//! ```

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mainstay_client::metrics::Metrics;
use proxy::{
    Board, DetectLocal, Engine, Figures, Health, HealthPorts, Local, Mode, NodePorts, Pace, Wish,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::net::{Namespace, obstacle};

pub(crate) const NODE: &str = "10.250.0.1";
const NODE_NAME: &str = "n1";
const DONE: Duration = Duration::from_secs(20);

/// Where endpoints are: on this node or another.
pub(crate) const A: (&str, &str) = ("10.244.1.2", NODE_NAME);
pub(crate) const B: (&str, &str) = ("10.244.2.2", "n2");
pub(crate) const C: (&str, &str) = ("10.244.3.2", "n3");

pub(crate) struct Town {
    pub(crate) mode: Mode,
    pub(crate) client: Namespace,
    pub(crate) node: Namespace,
    pub(crate) pods: [Namespace; 3],
    pub(crate) board: Arc<Board>,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Metrics,
    pub(crate) ports: watch::Receiver<HealthPorts>,
    writer: Option<JoinHandle<()>>,
}

/// What all tests begin with, unless they say otherwise.
pub(crate) fn wish() -> Wish {
    Wish {
        mark: 0x4000,
        masquerade_all: false,
        local: DetectLocal::Fixed(Local::Range("10.244.0.0/16".parse().unwrap())),
        node_ports: NodePorts::Everywhere,
    }
}

impl Town {
    /// None where it cannot be built, which is said.
    pub(crate) fn new(mode: Mode) -> Option<Self> {
        Self::with(mode, wish())
    }

    pub(crate) fn with(mode: Mode, wish: Wish) -> Option<Self> {
        if let Some(why) = obstacle() {
            eprintln!("skipped: {why}");
            return None;
        }
        let _ = tracing_subscriber::fmt().with_test_writer().try_init();
        let node = Namespace::new("node");
        node.within(|| {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            // Every refusal is to be told, not so many a second.
            std::fs::write("/proc/sys/net/ipv4/icmp_ratelimit", "0").unwrap();
        });
        let client = Namespace::new("client");
        client.join(&node, [10, 250, 0], "outside");
        // As every node has one: what is routed nowhere never meets the rules.
        node.ip("route add default via 10.250.0.2");
        let pods = [("a", 1), ("b", 2), ("c", 3)].map(|(name, number)| {
            let pod = Namespace::new(name);
            pod.join(&node, [10, 244, number], &format!("pod-{name}"));
            pod.answer(name, 8080);
            pod
        });
        let metrics = Metrics::default();
        let health = Arc::new(Health::new(Duration::from_secs(60)));
        let figures = Figures::new(&metrics, mode);
        let board = Arc::new(Board::new(NODE_NAME, Arc::clone(&health), figures.clone()));
        let (tell, ports) = watch::channel(HealthPorts::new());
        let rules = mode.rules(&wish);
        let pace = Pace {
            min: Duration::from_millis(10),
            verify: Duration::from_millis(200),
        };
        let engine = Engine::new(
            Arc::clone(&board),
            Arc::clone(&health),
            figures,
            rules,
            wish,
            pace,
            tell,
        );
        let writer = node.spawn(move || engine.run(|| {}));
        let object = json!({"metadata": {"name": NODE_NAME}, "status": {"addresses": [
            {"type": "InternalIP", "address": NODE},
        ]}});
        board.set_node(Some(&serde_json::from_value(object).unwrap()));
        board.services_listed(&[].into());
        board.slices_listed(&[].into());
        Some(Self {
            mode,
            client,
            node,
            pods,
            board,
            health,
            metrics,
            ports,
            writer: Some(writer),
        })
    }

    /// A service at `10.96.0.1:80` with endpoints at port 8080; `more` is merged into its specification.
    pub(crate) fn serve(&self, ends: &[(&str, &str)], more: Value) {
        self.service(more);
        self.ends(ends);
    }

    pub(crate) fn service(&self, more: Value) {
        let mut object = json!({
            "metadata": {"namespace": "a", "name": "web"},
            "spec": {"clusterIP": "10.96.0.1", "ports": [
                {"name": "t", "port": 80, "protocol": "TCP"}, {"name": "u", "port": 80, "protocol": "UDP"},
            ]},
        });
        merge(&mut object, more);
        self.board
            .put_service(&serde_json::from_value(object).unwrap());
    }

    pub(crate) fn ends(&self, ends: &[(&str, &str)]) {
        let ends = ends.iter();
        let ends = ends.map(|(ip, node)| json!({"addresses": [ip], "nodeName": node}));
        self.slice(ends.collect());
    }

    pub(crate) fn slice(&self, ends: Vec<Value>) {
        let object = json!({
            "metadata": {"namespace": "a", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "endpoints": ends, "ports": [
                {"name": "t", "port": 8080, "protocol": "TCP"}, {"name": "u", "port": 8080, "protocol": "UDP"},
            ],
        });
        self.board
            .put_slice(&serde_json::from_value(object).unwrap());
    }

    /// Waits for an answer.
    pub(crate) fn until(&self, what: &str, is: impl Fn() -> bool) {
        let start = Instant::now();
        while !is() {
            if start.elapsed() > DONE {
                panic!("not in time: {what}\n{}", self.rules());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// All rules of the node, for people.
    pub(crate) fn rules(&self) -> String {
        self.run("nft", &["list", "ruleset"])
    }

    /// Runs a program on the node.
    pub(crate) fn run(&self, program: &'static str, arguments: &'static [&'static str]) -> String {
        self.node
            .within(move || proxy::command::run(program, arguments, "").unwrap())
    }

    /// A figure of the proxy's.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        let text = self.metrics.text();
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        value.unwrap_or_default()
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.board.stop();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}
