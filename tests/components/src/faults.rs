//! What stands between a component and its apiserver.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::unfold;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::{Body, DynBody};
use tokio::sync::watch;
use tower::{BoxError, Layer, Service};

/// The faults of one component; clones are the same.
#[derive(Clone, Debug)]
pub struct Faults(Arc<State>);

#[derive(Debug)]
struct State {
    writes: AtomicUsize,
    /// Writes that have begun and whose answers have not come.
    under_way: watch::Sender<usize>,
    refused: Mutex<Vec<String>>,
    ends_after: usize,
    ended: watch::Sender<bool>,
    views: Mutex<HashMap<String, watch::Sender<View>>>,
}

/// What a component sees of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Open,
    /// Events wait.
    Closed,
    /// Events are lost: the watch ends and cannot be resumed.
    Lost,
}

impl Default for Faults {
    fn default() -> Self {
        Self::ending_after(usize::MAX)
    }
}

impl Faults {
    /// The component gets no further than its `write`th write: that one takes effect, and it does not learn of it.
    #[must_use]
    pub fn ending_after(write: usize) -> Self {
        Self(Arc::new(State {
            writes: AtomicUsize::new(0),
            under_way: watch::channel(0).0,
            refused: Mutex::default(),
            ends_after: write,
            ended: watch::channel(false).0,
            views: Mutex::default(),
        }))
    }

    /// Writes so far; events and leases do not count.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.0.writes.load(Ordering::SeqCst)
    }

    /// Requests that were not allowed: who asked, and for what.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        self.0.refused.lock().unwrap().clone()
    }

    /// Waits until no write is under way: what has taken effect by now is counted then.
    pub async fn answered(&self) {
        let mut under_way = self.0.under_way.subscribe();
        let _ = under_way.wait_for(|writes| *writes == 0).await;
    }

    /// Waits for the last write.
    pub async fn ended(&self) {
        let _ = self.0.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Nothing is seen of a kind (plural name) from now on.
    pub fn blind(&self, plural: &str) {
        self.view(plural).send_replace(View::Closed);
    }

    /// What happened since [`Faults::blind`] is seen, in order and complete.
    pub fn see(&self, plural: &str) {
        self.view(plural).send_replace(View::Open);
    }

    /// What happened since [`Faults::blind`] is never told: only its result is there, in a new list.
    pub fn miss(&self, plural: &str) {
        self.view(plural).send_replace(View::Lost);
    }

    fn view(&self, plural: &str) -> watch::Sender<View> {
        let mut views = self.0.views.lock().unwrap();
        let fresh = || watch::channel(View::Open).0;
        views.entry(plural.to_owned()).or_insert_with(fresh).clone()
    }

    fn begin(&self) -> UnderWay {
        self.0.under_way.send_modify(|writes| *writes += 1);
        UnderWay(self.clone())
    }

    async fn written(&self, write: UnderWay) {
        let number = self.0.writes.fetch_add(1, Ordering::SeqCst) + 1;
        drop(write);
        if number >= self.0.ends_after {
            self.0.ended.send_replace(true);
            std::future::pending::<()>().await;
        }
    }

    async fn unless_ended(&self) {
        if *self.0.ended.borrow() {
            std::future::pending::<()>().await;
        }
    }
}

/// A write, until it is answered or given up.
struct UnderWay(Faults);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.under_way.send_modify(|writes| *writes -= 1);
    }
}

impl<S> Layer<S> for Faults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty {
            inner,
            faults: self.clone(),
        }
    }
}

/// A client with [`Faults`].
#[derive(Debug)]
pub struct Faulty<S> {
    inner: S,
    faults: Faults,
}

type Answer = Response<Box<DynBody>>;

impl<S> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Response = Answer, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let faults = self.faults.clone();
        let plural = watched(request.uri());
        let counts = request.method() != Method::GET && !is_aside(request.uri());
        let view = plural.map(|plural| faults.view(&plural));
        if let Some(view) = view.as_ref().filter(|view| *view.borrow() == View::Lost) {
            view.send_replace(View::Open);
            return Box::pin(async { Ok(too_old()) });
        }
        let ended = *faults.0.ended.borrow();
        let user = request.headers().get("impersonate-user").cloned();
        let asked = format!("{user:?}: {} {}", request.method(), request.uri());
        let write = (counts && !ended).then(|| faults.begin());
        let answer = (!ended).then(|| self.inner.call(request));
        Box::pin(async move {
            faults.unless_ended().await;
            let answer = match answer {
                Some(answer) => answer.await?,
                None => std::future::pending().await,
            };
            if answer.status() == StatusCode::FORBIDDEN {
                faults.0.refused.lock().unwrap().push(asked);
            }
            if let Some(write) = write {
                faults.written(write).await;
            }
            faults.unless_ended().await;
            Ok(match view {
                Some(view) => answer.map(|body| gated(body, view.subscribe())),
                None => answer,
            })
        })
    }
}

/// The plural name of what a request watches.
fn watched(uri: &Uri) -> Option<String> {
    let watches = uri.query()?.split('&').any(|part| part == "watch=true");
    let plural = uri.path().rsplit('/').next()?;
    watches.then(|| plural.to_owned())
}

/// What is written beside the work itself.
fn is_aside(uri: &Uri) -> bool {
    let aside = [
        "/events",
        "/leases",
        "/tokenreviews",
        "/subjectaccessreviews",
    ];
    aside.iter().any(|part| uri.path().contains(part))
}

fn gated(body: Box<DynBody>, view: watch::Receiver<View>) -> Box<DynBody> {
    let frames = unfold((body, view), |(mut body, mut view)| async {
        let frame = loop {
            let now = *view.wait_for(|view| *view != View::Closed).await.ok()?;
            if now == View::Lost {
                return None;
            }
            // What comes while the view is closed must wait, and not be read and then lost.
            tokio::select! {
                frame = body.frame() => break frame?,
                changed = view.changed() => changed.ok()?,
            }
        };
        Some((frame, (body, view)))
    });
    Box::new(StreamBody::new(Box::pin(frames)))
}

/// How a server says that a watch cannot be resumed.
fn too_old() -> Answer {
    let status = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\
        \"status\":\"Failure\",\"message\":\"too old resource version\",\"reason\":\"Expired\",\"code\":410}}\n";
    let body = Full::new(Bytes::from_static(status.as_bytes())).map_err(BoxError::from);
    Response::new(Box::new(body))
}
