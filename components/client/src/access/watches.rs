//! Watches: many on one connection, of which the server is asked now and then whether it is still there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::BoxError;

use super::dial::Dialer;
use super::servers::{Chosen, Servers};
use crate::limits::{
    HTTP_1_REMEMBERED, PING_EVERY, PING_TIMEOUT, WATCH_WINDOW_BYTES, WATCHES_PER_CONNECTION,
};

/// Connections for watches under one identity. They are HTTP/2: a watch says nothing for minutes, and a server that
/// stands still keeps its connections, but does not answer pings. All else goes over HTTP/1.1, where no request waits
/// for another one's bytes.
pub(crate) struct Watches {
    dialer: Arc<Dialer>,
    servers: Arc<Servers>,
    /// By the server's number.
    lines: Vec<Mutex<Lines>>,
}

/// To one server.
#[derive(Default)]
struct Lines {
    open: Vec<Weak<Line>>,
    /// All who find no place wait for the same one.
    dialing: Option<Dialing>,
    /// Since when it is known that the server does not speak HTTP/2.
    speaks_http_1: Option<Instant>,
}

type Dialing = Shared<BoxFuture<'static, Result<Arc<Line>, NoLine>>>;

#[derive(Clone)]
enum NoLine {
    OtherProtocol,
    Broken(Arc<str>),
}

/// A connection, as long as there are watches on it.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    watches: AtomicUsize,
}

/// The place of one watch on its connection.
pub(crate) struct Place(Arc<Line>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.watches.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Line {
    /// None when it is full, or has ended.
    fn place(self: Arc<Self>) -> Option<Place> {
        let one_more = |taken: usize| (taken < WATCHES_PER_CONNECTION).then_some(taken + 1);
        let order = Ordering::Relaxed;
        let is_free = self.watches.fetch_update(order, order, one_more).is_ok();
        let place = is_free.then(|| Place(Arc::clone(&self)));
        place.filter(|_| !self.sender.is_closed())
    }
}

impl Lines {
    fn place(&mut self) -> Option<Place> {
        self.open.retain(|line| line.strong_count() > 0);
        let mut open = self.open.iter().filter_map(Weak::upgrade);
        open.find_map(Line::place)
    }
}

impl Watches {
    pub(crate) fn new(dialer: Dialer, servers: Arc<Servers>) -> Self {
        let lines = (0..servers.count()).map(|_| Mutex::default()).collect();
        Self {
            dialer: Arc::new(dialer),
            servers,
            lines,
        }
    }

    /// Begins a watch; `None` if the server does not speak HTTP/2. Waits for ever if it does not answer.
    pub(crate) async fn begin(
        &self,
        chosen: &Chosen,
        request: Request<Full<Bytes>>,
    ) -> Result<Option<(Response<Incoming>, Place)>, BoxError> {
        let mut again = true;
        loop {
            let place = match self.place(chosen, request.uri()).await {
                Ok(place) => place,
                Err(NoLine::OtherProtocol) => return Ok(None),
                Err(NoLine::Broken(why)) => return Err((&*why).into()),
            };
            let mut sender = place.0.sender.clone();
            match sender.send_request(request.clone()).await {
                Ok(answer) => return Ok(Some((answer, place))),
                // The server may have been about to close it.
                Err(_) if again && sender.is_closed() => again = false,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn place(&self, chosen: &Chosen, to: &Uri) -> Result<Place, NoLine> {
        let lines = &self.lines[chosen.number];
        loop {
            let dialing = {
                let mut lines = lines.lock();
                let known = lines.speaks_http_1;
                if known.is_some_and(|since| since.elapsed() < HTTP_1_REMEMBERED) {
                    return Err(NoLine::OtherProtocol);
                }
                if let Some(place) = lines.place() {
                    return Ok(place);
                }
                let others = lines.dialing.clone().filter(|own| own.peek().is_none());
                others.unwrap_or_else(|| {
                    let own = self.dial(chosen.clone(), to.clone()).boxed().shared();
                    lines.dialing = Some(own.clone());
                    own
                })
            };
            let dialed = dialing.await;
            let mut lines = lines.lock();
            // What is dialed is kept by those who have places on it.
            lines.dialing.take_if(|own| own.peek().is_some());
            let line = dialed.inspect_err(|why| {
                if let NoLine::OtherProtocol = why {
                    lines.speaks_http_1 = Some(Instant::now());
                }
            })?;
            let own = Arc::downgrade(&line);
            if !lines.open.iter().any(|line| line.ptr_eq(&own)) {
                lines.open.push(own);
            }
            match Arc::clone(&line).place() {
                Some(place) => return Ok(place),
                None if line.sender.is_closed() => {
                    return Err(NoLine::Broken("it was closed at once".into()));
                }
                // Others were faster.
                None => {}
            }
        }
    }

    /// Does not use `self` later on: several wait for it, and go away in any order.
    fn dial(
        &self,
        chosen: Chosen,
        to: Uri,
    ) -> impl Future<Output = Result<Arc<Line>, NoLine>> + Send + use<> {
        let (dialer, servers) = (Arc::clone(&self.dialer), Arc::clone(&self.servers));
        async move {
            let broken = |error: BoxError| NoLine::Broken(whole(error.as_ref()).into());
            let dialed = dialer.dial(&to).await.map_err(broken)?;
            let (connection, heard) = dialed.ok_or(NoLine::OtherProtocol)?;
            let (sender, driver) = builder()
                .handshake(connection)
                .await
                .map_err(|error| broken(error.into()))?;
            let line = Arc::new(Line {
                sender,
                watches: AtomicUsize::new(0),
            });
            let own = Arc::downgrade(&line);
            tokio::spawn(async move {
                // Its watches are told what it ended with.
                let _ = driver.await;
                if own.strong_count() > 0 && heard.silence() >= PING_TIMEOUT {
                    servers.avoid(&chosen, true);
                }
            });
            Ok(line)
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let all = WATCH_WINDOW_BYTES * u32::try_from(WATCHES_PER_CONNECTION).unwrap_or(1);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(WATCH_WINDOW_BYTES)
        // Room for all: a watch that is not read takes none from the others.
        .initial_connection_window_size(all)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// An error and its causes; hyper's says little by itself.
pub(crate) fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
