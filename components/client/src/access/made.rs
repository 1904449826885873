//! Connections made with the same credentials.

use std::error::Error as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt as _;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use super::dial::Dialer;
use super::gate::Gates;
use super::identity::Credentials;
use super::servers::{Chosen, Servers};
use super::transport::{Times, Who};
use super::watches::{Place, Watches, whole};
use crate::leader::{Fence, Fenced};
use crate::limits::{CONNECTION_IDLE_MAX, CONNECTIONS_IDLE_MAX, SERVER_SILENT_MAX, TCP_KEEPALIVE};

type Connections = BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, legacy::Error>;

/// Connections, and what they are made with.
pub(super) struct Made {
    connections: Connections,
    watches: Watches,
    pub(super) credentials: Arc<Credentials>,
    fence: Option<Fence>,
}

impl Made {
    pub(super) fn new(
        credentials: Arc<Credentials>,
        who: Who,
        servers: Arc<Servers>,
        times: Times,
        fence: Option<Fence>,
    ) -> kube::Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        // Small requests must not wait for the acknowledgement of earlier ones.
        http.set_nodelay(true);
        http.set_keepalive(Some(TCP_KEEPALIVE));
        let config = match who {
            Who::Own => &credentials.config,
            Who::Anonymous => &credentials.anonymous(),
        };
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
            watches: Watches::new(dialer, servers),
            credentials,
            fence,
        })
    }
    /// The head of an answer, and its place among watches. Waits for ever if the server does not answer.
    pub(super) async fn answer(
        &self,
        request: Request<Full<Bytes>>,
        chosen: &Chosen,
    ) -> Result<(Response<Incoming>, Option<Place>), Broken> {
        let is_https = request.uri().scheme_str() == Some("https");
        if is_https && is_watch(request.method(), request.uri()) {
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
pub(super) struct Broken {
    pub(super) fenced: bool,
    pub(super) why: String,
    /// Whether the request may have.
    pub(super) arrived: bool,
}

/// Whether the answer lasts for as long as the server has something to tell.
pub(super) fn is_watch(method: &Method, uri: &Uri) -> bool {
    let mut asked = uri.query().unwrap_or_default().split('&');
    method == Method::GET
        && asked.any(|part| matches!(part.split_once('='), Some(("watch", "true" | "1"))))
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
