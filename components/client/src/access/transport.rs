//! Requests over connections: to one apiserver, and to the next when that one does not answer.

use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt as _};
use tokio::time::timeout;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt as _};

use super::figures::Figures;
use super::gate::Gates;
use super::identity::{Credentials, Identity};
use super::servers::{Chosen, Servers};
use super::stream::Stream;
use crate::leader::{Fence, Fenced};
use crate::limits::{CONNECTION_IDLE_MAX, CONNECTIONS_IDLE_MAX, SERVER_SILENT_MAX, TCP_KEEPALIVE};

type Connections = BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, legacy::Error>;

/// Time limits of requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// To connect, TLS included.
    pub(crate) connect: Duration,
    /// Until the head of an answer, of each attempt.
    pub(crate) head: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("{host} did not answer within {after:?}")]
    Late { host: String, after: Duration },
    #[error("{host}: {why}")]
    Broken { host: String, why: String },
    #[error("request: {0}")]
    Request(#[from] http::Error),
    #[error(transparent)]
    Fenced(#[from] Fenced),
}

/// Under which name connections are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// With the own certificate, if there is one.
    Own,
    /// Without it, which would count for more than a token.
    Anonymous,
}

/// Connections under one identity, all behind the fence or none. They are HTTP/1.1, one request at a time on each: as many as there are requests
/// at once, and kept for the next ones. No request waits for another one's bytes.
///
/// When the credentials change, new requests go over new connections; those under way come to their end, but for
/// watches, which are cut, and the old connections go with the last of them.
#[derive(Clone)]
pub(crate) struct Transport {
    identity: Arc<Identity>,
    who: Who,
    made: Arc<ArcSwap<Made>>,
    servers: Arc<Servers>,
    figures: Figures,
    times: Times,
    fence: Option<Fence>,
}

/// Connections, and what they are made with.
struct Made {
    connections: Connections,
    credentials: Arc<Credentials>,
}

impl Made {
    fn new(
        credentials: Arc<Credentials>,
        who: Who,
        times: Times,
        fence: Option<Fence>,
    ) -> kube::Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        // Small requests must not wait for the acknowledgement of earlier ones.
        http.set_nodelay(true);
        http.set_keepalive(Some(TCP_KEEPALIVE));
        let https = match who {
            Who::Own => credentials
                .config
                .rustls_https_connector_with_connector(http)?,
            Who::Anonymous => credentials
                .anonymous()
                .rustls_https_connector_with_connector(http)?,
        };
        let gates = Gates {
            connector: https,
            fence,
        };
        let mut connector = TimeoutConnector::new(gates);
        connector.set_connect_timeout(Some(times.connect));
        connector.set_read_timeout(Some(SERVER_SILENT_MAX));
        connector.set_reset_reader_on_write(true);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(CONNECTION_IDLE_MAX)
            .pool_max_idle_per_host(CONNECTIONS_IDLE_MAX)
            .build(connector);
        Ok(Self {
            connections: BoxCloneSyncService::new(client),
            credentials,
        })
    }
}

impl Transport {
    pub(crate) fn new(
        identity: Arc<Identity>,
        who: Who,
        servers: Arc<Servers>,
        figures: Figures,
        times: Times,
        fence: Option<Fence>,
    ) -> kube::Result<Self> {
        let made = Made::new(identity.current(), who, times, fence.clone())?;
        Ok(Self {
            identity,
            who,
            made: Arc::new(ArcSwap::from_pointee(made)),
            servers,
            figures,
            times,
            fence,
        })
    }

    /// With the credentials that count now.
    fn made(&self) -> Arc<Made> {
        let made = self.made.load_full();
        let newest = self.identity.current();
        if newest.number == made.credentials.number {
            return made;
        }
        match Made::new(newest, self.who, self.times, self.fence.clone()) {
            Ok(new) => {
                let new = Arc::new(new);
                self.made.store(Arc::clone(&new));
                new
            }
            // They could be used when they were read.
            Err(error) => {
                tracing::warn!("connections with new credentials: {error}");
                made
            }
        }
    }

    /// Sends a request. Reads are tried at every server there is; writes only as long as they have certainly not
    /// arrived, and only while the fence is open.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Stream>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let mut attempts = self.servers.count();
        loop {
            attempts -= 1;
            let _writing = match self.fence.as_ref().filter(|_| is_write(&parts.method)) {
                Some(fence) => Some(fence.enter()?),
                None => None,
            };
            let chosen = self.servers.chosen();
            let made = self.made();
            let begin = Instant::now();
            let answer = self.attempt(&made, &parts, body.clone(), &chosen).await;
            let code = answer.as_ref().ok().map(|answer| answer.status().as_u16());
            let host = chosen.authority.as_str();
            self.figures
                .done(code, &parts.method, host, begin.elapsed());
            let (error, arrived) = match answer {
                Ok(answer) => {
                    let under = is_watch(&parts).then_some(&*made.credentials);
                    return Ok(answer.map(|body| Stream::new(body, &chosen, under)));
                }
                Err(Failed { error, arrived }) => (error, arrived),
            };
            if let NoAnswer::Fenced(fenced) = error {
                return Err(fenced.into());
            }
            let silent = matches!(error, NoAnswer::Late { .. });
            let another = self.servers.avoid(&chosen, silent);
            if !another || attempts == 0 || (arrived && is_write(&parts.method)) {
                return Err(error.into());
            }
        }
    }

    async fn attempt(
        &self,
        made: &Made,
        parts: &Parts,
        body: Bytes,
        chosen: &Chosen,
    ) -> Result<Response<Incoming>, Failed> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = parts.method.clone();
        request.headers_mut().clone_from(&parts.headers);
        let uri = self.servers.uri(chosen, &parts.uri);
        *request.uri_mut() = uri.map_err(|error| Failed {
            error: error.into(),
            arrived: false,
        })?;
        let answer = made.connections.clone().oneshot(request);
        let host = || chosen.authority.to_string();
        match timeout(self.times.head, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            // Let through, and stopped at the gate.
            Ok(Err(error)) if is_fenced(&error) => Err(Failed {
                arrived: true,
                error: NoAnswer::Fenced(Fenced),
            }),
            Ok(Err(error)) => Err(Failed {
                arrived: !error.is_connect(),
                error: NoAnswer::Broken {
                    host: host(),
                    why: whole(&error),
                },
            }),
            Err(_) => Err(Failed {
                arrived: true,
                error: NoAnswer::Late {
                    host: host(),
                    after: self.times.head,
                },
            }),
        }
    }
}

struct Failed {
    error: NoAnswer,
    /// Whether it may have.
    arrived: bool,
}

/// Whether a request may change something.
pub(crate) fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the answer lasts until somebody ends it.
fn is_watch(parts: &Parts) -> bool {
    let mut asked = parts.uri.query().unwrap_or_default().split('&');
    asked.any(|part| matches!(part.split_once('='), Some(("watch", "true" | "1"))))
}

/// An error and its causes; hyper's says little by itself.
fn whole(error: &legacy::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string does not fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn is_fenced(error: &legacy::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let within = error.downcast_ref::<std::io::Error>();
        if within.is_some_and(|error| error.get_ref().is_some_and(|own| own.is::<Fenced>())) {
            return true;
        }
        cause = error.source();
    }
    false
}
