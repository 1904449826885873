//! Static pods: what a server says.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Config;
use kube::client::ConfigExt as _;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::files::Changes;
use super::manifest::pods_of;
use crate::limits::{STATIC_FILE_BYTES_MAX, STATIC_SERVER_DEADLINE, STATIC_SERVER_FAILURES_TOLD};
use crate::sources::{Mirrors, Spoken};
use crate::worker::Pods;

/// Why a server cannot be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("TLS: {0}")]
pub struct ManifestServerError(#[from] kube::Error);

type Ask = Box<dyn Fn(Request<Empty<Bytes>>) -> legacy::ResponseFuture + Send + Sync>;

/// A server, and what it said last.
pub struct ManifestServer {
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    node: String,
    ask: Ask,
    said: Bytes,
    /// By uid.
    known: BTreeMap<String, Arc<Pod>>,
}

/// Without headers, which may be secret.
impl fmt::Debug for ManifestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestServer")
            .field("url", &self.url)
            .field("pods", &self.known.len())
            .finish_non_exhaustive()
    }
}

impl ManifestServer {
    /// Trusts whom the system trusts.
    ///
    /// # Errors
    /// If the system's authorities cannot be read.
    pub fn new(
        url: &Uri,
        headers: &[(HeaderName, HeaderValue)],
        node: &str,
    ) -> Result<Self, ManifestServerError> {
        let connector = Config::new(url.clone()).rustls_https_connector()?;
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self {
            url: url.clone(),
            headers: headers.to_vec(),
            node: node.to_owned(),
            ask: Box::new(move |request| client.request(request)),
            said: Bytes::new(),
            known: BTreeMap::new(),
        })
    }

    /// All pods as they were last described.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.known.values().cloned().collect()
    }

    /// Asks once.
    async fn get(&self) -> Result<Bytes, String> {
        let mut request = Request::get(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let asked = async {
            let answer = (self.ask)(request).await;
            let answer = answer.map_err(|error| whole(&error))?;
            let status = answer.status();
            if status != StatusCode::OK {
                return Err(status.to_string());
            }
            let most = usize::try_from(STATIC_FILE_BYTES_MAX).unwrap_or(usize::MAX);
            let body = Limited::new(answer.into_body(), most).collect().await;
            Ok(body.map_err(|error| error.to_string())?.to_bytes())
        };
        match timeout(STATIC_SERVER_DEADLINE, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {STATIC_SERVER_DEADLINE:?}")),
        }
    }

    /// What has changed. What describes no pods changes nothing; an empty answer describes that there are none.
    fn take(&mut self, said: Bytes) -> Result<Changes, String> {
        if said.is_empty() {
            self.said = said;
            return Ok(self.become_these(Vec::new()));
        }
        if said == self.said {
            return Ok(Changes::default());
        }
        let text = std::str::from_utf8(&said).map_err(|error| error.to_string())?;
        let url = self.url.to_string();
        let pods = pods_of(text, &url, &self.node, Timestamp::now())?;
        self.said = said;
        Ok(self.become_these(pods))
    }

    fn become_these(&mut self, pods: Vec<Pod>) -> Changes {
        let mut changes = Changes::default();
        let mut next = BTreeMap::new();
        for pod in pods {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let pod = match self.known.remove(&uid) {
                // When it was seen is when it was seen first.
                Some(known) if known.spec == pod.spec => known,
                _ => {
                    let pod = Arc::new(pod);
                    changes.there.push(Arc::clone(&pod));
                    pod
                }
            };
            next.insert(uid, pod);
        }
        changes.gone = std::mem::replace(&mut self.known, next)
            .into_keys()
            .collect();
        changes
    }
}

/// Hands on what the server says, until it is dropped. While it says nothing all stays as it was.
pub async fn follow_server(
    mut server: ManifestServer,
    every: Duration,
    pods: Pods,
    mirrors: Mirrors,
    spoken: Spoken,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failures = 0;
    loop {
        ticks.tick().await;
        let said = server.get().await.and_then(|said| server.take(said));
        let changes = match said {
            Ok(changes) => changes,
            Err(error) => {
                failures += 1;
                let url = &server.url;
                match failures > STATIC_SERVER_FAILURES_TOLD {
                    true => tracing::debug!(%url, "no static pods: {error}"),
                    false => tracing::warn!(%url, "no static pods: {error}"),
                }
                continue;
            }
        };
        failures = 0;
        for uid in &changes.gone {
            pods.remove(uid);
        }
        let changed = !changes.there.is_empty() || !changes.gone.is_empty();
        for pod in changes.there {
            pods.set(pod);
        }
        if changed {
            mirrors.set_server(server.pods());
        }
        spoken.server();
    }
}

/// An error and its causes; hyper's says little by itself.
fn whole(error: &legacy::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    fn pod(name: &str, image: &str) -> String {
        format!(
            "{{metadata: {{name: {name}}}, spec: {{containers: [{{name: a, image: {image}}}]}}}}"
        )
    }

    fn list(pods: &[String]) -> String {
        format!("{{kind: PodList, items: [{}]}}", pods.join(", "))
    }

    #[tokio::test]
    async fn what_a_server_says_is_followed_and_stays_while_it_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/pods", listener.local_addr().expect("bound"));
        let url: Uri = url.parse().expect("a URL");
        let header = (
            HeaderName::from_static("x-token"),
            HeaderValue::from_static("abc"),
        );
        let mut server = ManifestServer::new(&url, &[header], "n").expect("made");
        let (a, b) = (pod("a", "x"), pod("b", "x"));
        let both = list(&[a.clone(), b.clone()]);
        // What is answered, and how many are there and gone then; none for no change at all.
        let steps = [
            ("200 OK", both.clone(), Some((2, 0))),
            ("200 OK", both.clone(), Some((0, 0))),
            ("500 Internal Server Error", String::new(), None),
            ("200 OK", "<html>".to_owned(), None),
            ("200 OK", list(&[pod("a", "y"), b.clone()]), Some((1, 1))),
            ("200 OK", b, Some((0, 1))),
            ("200 OK", String::new(), Some((0, 1))),
            ("200 OK", both, Some((2, 0))),
        ];
        for (status, body, expected) in steps {
            let answer = async {
                let (mut stream, _) = listener.accept().await.expect("asked");
                let mut asked = vec![0; 4096];
                let length = stream.read(&mut asked).await.expect("a request");
                let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                let text = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(text.as_bytes()).await.expect("written");
                asked
            };
            let (said, asked) = tokio::join!(server.get(), answer);
            assert!(asked.starts_with("GET /pods HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains("x-token: abc\r\n"), "{asked}");
            let changes = said.and_then(|said| server.take(said));
            let counts = changes.map(|changes| (changes.there.len(), changes.gone.len()));
            assert_eq!(counts.ok(), expected, "{status} {body}");
        }
        assert_eq!(server.pods().len(), 2);
        // Nobody listens any more.
        drop(listener);
        server.get().await.expect_err("no answer");
        assert!(!format!("{server:?}").contains("abc"));
    }
}
