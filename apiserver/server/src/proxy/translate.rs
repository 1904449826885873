//! Commands whose client speaks the fifth version of their protocol over WebSocket, which kubelets and runtimes do not:
//! the kubelet is spoken to in SPDY.

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::activity::Activity;
use super::backend::{Backend, Outgoing, SendError};
use super::forward::Passing;
use super::location::Location;
use super::room::{Place, Room};
pub(crate) use super::session::Wanted;
use super::session::{Down, Streams, channel, frames, up, write};
use super::status;
use super::tunnel::{STREAM_PROTOCOL, close, is_spdy, marked};
use super::upgrade::wanted as client_of;
use super::websocket::{self, Socket, V5};
use crate::answer::Answer;
use crate::limits::{
    KUBELET_FAILURE_BYTES_MAX, STREAM_END_TIMEOUT, STREAM_IDLE_TIMEOUT, STREAM_PIECES_MAX,
    STREAM_PONGS_MAX,
};
use crate::spdy;

/// Versions of a command's protocol that are the same on the way to a kubelet, in the order they are offered.
const OFFERED: [&str; 2] = [V5, "v4.channel.k8s.io"];

/// Answers a client that wants a command's streams as messages.
pub(crate) async fn translate(passing: Passing<'_>, wanted: Wanted) -> Answer {
    let client = client_of(&passing)?;
    let call = passing.call;
    let accept = match websocket::accept(&call.method, call.headers) {
        Ok(accept) => accept,
        Err(refused) => return Ok(*refused),
    };
    let task = Task {
        room: passing.room.clone(),
        backend: passing.backend,
        location: passing.location,
        wanted,
        _place: passing.room.enter()?,
    };
    tokio::spawn(task.run(client));
    let protocol = HeaderValue::from_static(V5);
    Ok(websocket::switched(accept, Some(protocol)))
}

/// One command. As upstream, the client has its WebSocket before the kubelet is asked; what goes wrong is told there.
struct Task {
    room: Room,
    backend: Backend,
    location: Location,
    wanted: Wanted,
    _place: Place,
}

/// How it went.
enum End {
    /// What is to be told.
    Told(Value),
    /// There is nobody to be told.
    Gone,
}

impl Task {
    async fn run(self, client: OnUpgrade) {
        let mut socket = match websocket::socket(client).await {
            Ok(socket) => socket,
            Err(e) => {
                tracing::debug!("a change to WebSocket: {e}");
                return;
            }
        };
        // Tells clients that the streams exist.
        let first = match self.wanted {
            Wanted { stdout: true, .. } => channel::STDOUT,
            Wanted { stderr: true, .. } => channel::STDERR,
            _ => channel::STATUS,
        };
        if socket.send(marked(first, &[])).await.is_err() {
            return;
        }
        let end = match self.connect().await {
            Ok(kubelet) => self.talk(&mut socket, kubelet).await,
            Err(why) => End::Told(status::failed(&why)),
        };
        let End::Told(status) = end else {
            return;
        };
        let status = marked(channel::STATUS, status.to_string().as_bytes());
        // Whoever does not read will not read this either.
        let _ = timeout(STREAM_END_TIMEOUT, async {
            if socket.send(status).await.is_ok() {
                close(socket).await;
            }
        })
        .await;
    }

    /// A connection to the kubelet that speaks SPDY.
    async fn connect(&self) -> Result<TokioIo<Upgraded>, String> {
        let failed =
            |e: String| format!("error sending request: Post {:?}: {e}", self.location.url());
        let mut request = Request::new(Outgoing::Nothing);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.location.target().parse().map_err(|e| format!("{e}"))?;
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(&self.location.authority());
        headers.insert(HOST, host.map_err(|e| e.to_string())?);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(spdy::NAME));
        for protocol in OFFERED {
            headers.append(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
        }
        let answered = self.backend.upgrade(&self.location, request).await;
        let response = answered.map_err(|e: SendError| failed(e.to_string()))?;
        if response.status().is_redirection() {
            return Err(failed("redirect not allowed".to_owned()));
        }
        if response.status() != 101 || !is_spdy(response.headers()) {
            return Err(refused(response).await);
        }
        let upgraded = hyper::upgrade::on(response).await;
        upgraded.map(TokioIo::new).map_err(|e| e.to_string())
    }

    async fn talk(&self, socket: &mut Socket, kubelet: TokioIo<Upgraded>) -> End {
        let activity = Activity::new();
        let (mut to_client, mut from_client) = socket.split();
        let (mut from_kubelet, mut to_kubelet) = tokio::io::split(kubelet);
        let (streams, opening) = Streams::open(self.wanted);
        if let Err(e) = frames(&mut to_kubelet, &[&opening]).await {
            return End::Told(status::failed(&e.to_string()));
        }
        let (opened, are_open) = oneshot::channel();
        let (pieces, to_write) = mpsc::channel(STREAM_PIECES_MAX);
        let (answers, to_answer) = mpsc::channel(STREAM_PONGS_MAX);
        let down = Down {
            from: &mut from_kubelet,
            client: &mut to_client,
            streams,
            opened: Some(opened),
            answers,
            activity: &activity,
        };
        let writing = async {
            let e = write(&mut to_kubelet, to_write, to_answer, &activity).await;
            tracing::debug!("a kubelet takes no more input: {e}");
            // How the command ended may still be told.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            told = down.run() => End::Told(told.unwrap_or_else(|why| status::failed(&why))),
            () = up(&mut from_client, streams, are_open, pieces, &activity) => End::Gone,
            () = writing => End::Gone,
            () = activity.idle(STREAM_IDLE_TIMEOUT) => End::Told(status::failed("i/o timeout")),
            () = self.room.ended() => {
                End::Told(status::failed("the server is shutting down"))
            }
        }
    }
}

/// Why a kubelet does not speak SPDY.
async fn refused(response: Response<Incoming>) -> String {
    let body = Limited::new(response.into_body(), KUBELET_FAILURE_BYTES_MAX);
    match timeout(STREAM_END_TIMEOUT, body.collect()).await {
        Ok(Ok(body)) => status::refusal(&body.to_bytes()),
        _ => "unable to upgrade connection: unable to read error from server response".to_owned(),
    }
}
