//! `componentstatuses`: what this server can tell of the others.

use std::time::Duration;

use mainstay_apistore::Client;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Where the others answer on a master, as upstream: name and port of 127.0.0.1.
const OTHERS: [(&str, u16); 2] = [("controller-manager", 10_257), ("scheduler", 10_259)];
/// Time for one to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at scheduler, controllers and the members of the store.
#[derive(Debug)]
pub(crate) struct Components {
    pub(crate) client: Client,
}

impl Components {
    pub(crate) async fn list(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for (name, port) in OTHERS {
            let connected = timeout(PATIENCE, TcpStream::connect(("127.0.0.1", port))).await;
            let failure = match connected {
                Ok(Ok(_)) => None,
                Ok(Err(e)) => Some(dial(port, &reason(&e))),
                Err(_) => Some(dial(port, "i/o timeout")),
            };
            all.push(status(name, failure, None));
        }
        for (at, member) in self.client.health().await.into_iter().enumerate() {
            let failure = member.state.err();
            all.push(status(&format!("etcd-{at}"), failure.clone(), failure));
        }
        all.sort_by(|a, b| {
            a["metadata"]["name"]
                .as_str()
                .cmp(&b["metadata"]["name"].as_str())
        });
        all
    }
}

/// Why a component could not be asked, in the words of Go's HTTP client.
fn dial(port: u16, why: &str) -> String {
    format!("Get \"https://127.0.0.1:{port}/healthz\": dial tcp 127.0.0.1:{port}: {why}")
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        _ => format!("connect: {error}"),
    }
}

/// `error` is for failures of asking; what was answered is the message.
fn status(name: &str, failure: Option<String>, error: Option<String>) -> Value {
    let mut condition = match failure {
        None => json!({ "type": "Healthy", "status": "True", "message": "ok" }),
        Some(message) => json!({ "type": "Healthy", "status": "False", "message": message }),
    };
    if let Some(error) = error {
        condition["error"] = error.into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "ComponentStatus",
        "metadata": { "name": name },
        "conditions": [condition],
    })
}
