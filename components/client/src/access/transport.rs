//! Requests over connections: to one apiserver, and to the next when that one does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use kube::client::Body;
use tokio::time::timeout;
use tower::BoxError;

use super::figures::Figures;
use super::identity::Identity;
use super::made::{Broken, Made, is_watch};
use super::servers::{Chosen, Servers};
use super::stream::Stream;
use super::watches::Place;
use crate::leader::{Fence, Fenced};

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

/// Connections under one identity, all behind the fence or none. Watches have their own. The others are HTTP/1.1, one
/// request at a time on each: as many as there are requests at once, and kept for the next ones. No request waits for
/// another one's bytes.
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

impl Transport {
    pub(crate) fn new(
        identity: Arc<Identity>,
        who: Who,
        servers: Arc<Servers>,
        figures: Figures,
        times: Times,
        fence: Option<Fence>,
    ) -> kube::Result<Self> {
        let made = Made::new(
            identity.current(),
            who,
            Arc::clone(&servers),
            times,
            fence.clone(),
        )?;
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
        match Made::new(
            newest,
            self.who,
            Arc::clone(&self.servers),
            self.times,
            self.fence.clone(),
        ) {
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
            let code = answer
                .as_ref()
                .ok()
                .map(|(answer, _)| answer.status().as_u16());
            let host = chosen.authority.as_str();
            self.figures
                .done(code, &parts.method, host, begin.elapsed());
            let (error, arrived) = match answer {
                Ok((answer, place)) => {
                    let under = is_watch(&parts.method, &parts.uri).then_some(&*made.credentials);
                    return Ok(answer.map(|body| Stream::new(body, &chosen, under, place)));
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
        match timeout(self.times.head, made.answer(request, chosen)).await {
            Ok(answer) => answer.map_err(|broken| Failed::of(broken, host())),
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

/// What went wrong at one server.
struct Failed {
    error: NoAnswer,
    /// Whether the request may have.
    arrived: bool,
}

impl Failed {
    fn of(broken: Broken, host: String) -> Self {
        let Broken {
            fenced,
            why,
            arrived,
        } = broken;
        match fenced {
            true => Self {
                arrived: true,
                error: NoAnswer::Fenced(Fenced),
            },
            false => Self {
                arrived,
                error: NoAnswer::Broken { host, why },
            },
        }
    }
}

/// Whether a request may change something.
pub(crate) fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
