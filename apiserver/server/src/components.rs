//! `componentstatuses`: what this server can tell of the others.

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use mainstay_apistore::Client;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::limits::COMPONENT_PAGE_BYTES_MAX;
use crate::proxy::{Backend, Location, Outgoing};

/// Where the others answer on a master, as upstream: name and port of 127.0.0.1.
const OTHERS: [(&str, u16); 2] = [("controller-manager", 10_257), ("scheduler", 10_259)];
/// Time for one to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at scheduler, controllers and the members of the store.
#[derive(Debug)]
pub(crate) struct Components {
    pub(crate) client: Client,
    /// The way to the others, whose certificates nobody verifies, as upstream.
    pub(crate) masters: Backend,
}

impl Components {
    pub(crate) async fn list(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for (name, port) in OTHERS {
            let failure = failure(&self.masters, port).await;
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

/// What is wrong with a component on this master, if anything.
async fn failure(masters: &Backend, port: u16) -> Option<String> {
    let location = Location {
        secure: true,
        host: "127.0.0.1".to_owned(),
        port: port.to_string(),
        path: "/healthz".to_owned(),
        query: String::new(),
    };
    let failed = |why: &dyn std::fmt::Display| Some(format!("Get {:?}: {why}", location.url()));
    let mut request = Request::new(Outgoing::Nothing);
    match location.uri() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(e) => return failed(&e),
    }
    let asked = async {
        let response = masters.send(request).await.map_err(|e| e.to_string())?;
        let code = response.status();
        let body = Limited::new(response.into_body(), COMPONENT_PAGE_BYTES_MAX);
        let body = body.collect().await.map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok::<_, String>((code, text))
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok((StatusCode::OK, _))) => None,
        Ok(Ok((_, text))) => Some(text),
        Ok(Err(e)) => failed(&e),
        Err(_) => failed(&format_args!("dial tcp 127.0.0.1:{port}: i/o timeout")),
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
