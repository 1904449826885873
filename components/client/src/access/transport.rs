//! Requests over connections: to one apiserver, and to the next when that one does not answer.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ConfigExt as _};
use tokio::time::timeout;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt as _};

use super::dial::Dialer;
use super::figures::Figures;
use super::gate::Gates;
use super::servers::{Chosen, Servers};
use super::stream::Stream;
use super::watches::{Place, Watches, whole};
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

/// Connections under one identity, all behind the fence or none. Watches have their own. The others are HTTP/1.1, one
/// request at a time on each: as many as there are requests at once, and kept for the next ones. No request waits for
/// another one's bytes.
#[derive(Clone)]
pub(crate) struct Transport {
    connections: Connections,
    watches: Arc<Watches>,
    servers: Arc<Servers>,
    figures: Figures,
    times: Times,
    fence: Option<Fence>,
}

impl Transport {
    pub(crate) fn new(
        config: &Config,
        servers: Arc<Servers>,
        figures: Figures,
        times: Times,
        fence: Option<Fence>,
    ) -> kube::Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        // Small requests must not wait for the acknowledgement of earlier ones.
        http.set_nodelay(true);
        http.set_keepalive(Some(TCP_KEEPALIVE));
        let dialer = Dialer::new(config, http.clone(), fence.clone(), times.connect)?;
        let https = config.rustls_https_connector_with_connector(http)?;
        let gates = Gates {
            connector: https,
            fence: fence.clone(),
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
            watches: Arc::new(Watches::new(dialer, Arc::clone(&servers))),
            servers,
            figures,
            times,
            fence,
        })
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
            let begin = Instant::now();
            let answer = self.attempt(&parts, body.clone(), &chosen).await;
            let code = answer
                .as_ref()
                .ok()
                .map(|(answer, _)| answer.status().as_u16());
            let host = chosen.authority.as_str();
            self.figures
                .done(code, &parts.method, host, begin.elapsed());
            let (error, arrived) = match answer {
                Ok((answer, place)) => {
                    return Ok(answer.map(|body| Stream::new(body, &chosen, place)));
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
        parts: &Parts,
        body: Bytes,
        chosen: &Chosen,
    ) -> Result<(Response<Incoming>, Option<Place>), Failed> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = parts.method.clone();
        request.headers_mut().clone_from(&parts.headers);
        let uri = self.servers.uri(chosen, &parts.uri);
        *request.uri_mut() = uri.map_err(|error| Failed {
            error: error.into(),
            arrived: false,
        })?;
        let host = || chosen.authority.to_string();
        match timeout(self.times.head, self.answer(request, chosen)).await {
            Ok(answer) => answer.map_err(|failed| failed.at(host())),
            Err(_) => Err(Failed {
                arrived: true,
                error: NoAnswer::Late {
                    host: host(),
                    after: self.times.head,
                },
            }),
        }
    }

    async fn answer(
        &self,
        request: Request<Full<Bytes>>,
        chosen: &Chosen,
    ) -> Result<(Response<Incoming>, Option<Place>), Broken> {
        if is_watch(&request) {
            match self.watches.begin(chosen, request.clone()).await {
                Ok(Some((answer, place))) => return Ok((answer, Some(place))),
                Ok(None) => {}
                Err(error) => {
                    return Err(Broken {
                        fenced: self.fence.as_ref().is_some_and(|fence| !fence.is_open()),
                        why: whole(error.as_ref()),
                        arrived: true,
                    });
                }
            }
        }
        let answer = self.connections.clone().oneshot(request).await;
        let answer = answer.map_err(|error| Broken {
            // Let through, and stopped at the gate.
            fenced: is_fenced(&error),
            why: whole(&error),
            arrived: !error.is_connect(),
        });
        Ok((answer?, None))
    }
}

/// A connection that broke before the head of an answer.
struct Broken {
    fenced: bool,
    why: String,
    arrived: bool,
}

impl Broken {
    fn at(self, host: String) -> Failed {
        let Self {
            fenced,
            why,
            arrived,
        } = self;
        match fenced {
            true => Failed {
                arrived: true,
                error: NoAnswer::Fenced(Fenced),
            },
            false => Failed {
                arrived,
                error: NoAnswer::Broken { host, why },
            },
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

/// Whether the answer lasts for as long as the server has something to tell, as kube asks for it.
fn is_watch(request: &Request<Full<Bytes>>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let https = request.uri().scheme_str() == Some("https");
    https && request.method() == Method::GET && query.split('&').any(|part| part == "watch=true")
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
