//! The answering side of peer connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::Bytes;
use tokio::io::BufReader;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::codec::Malformed;
use crate::env::{Env, Io, Opening};
use crate::error::Error;
use crate::limits::{PEER_CONNECTIONS_MAX, PEER_HANDSHAKE_TIMEOUT, PEER_QUEUE_FRAMES_MAX};
use crate::peer::conn::write_frames;
use crate::peer::frame::{Frame, read_frame};
use crate::peer::handshake::Caller;
use crate::peer::message::Call;
use crate::peer::snapshot::Receiving;

/// What answers the calls; the member behind this module.
use crate::node::Inner as Handler;

/// Accepts peers until the task is dropped.
pub(crate) async fn serve<E: Env>(listener: E::Listener, handler: Arc<Handler<E>>) {
    let room = Arc::new(Semaphore::new(PEER_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let (opening, from) = match handler.env.accept(&listener).await {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!("accepting a peer failed: {e}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let handler = Arc::clone(&handler);
        connections.spawn(async move {
            if let Err(e) = connection(opening, &from, handler).await {
                tracing::debug!(%from, "peer connection ended: {e}");
            }
            drop(permit);
        });
    }
}

async fn connection<E: Env>(
    opening: Opening,
    from: &str,
    handler: Arc<Handler<E>>,
) -> io::Result<()> {
    let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut io = timeout(PEER_HANDSHAKE_TIMEOUT, opening)
        .await
        .map_err(timed_out)??;
    let greeting = timeout(PEER_HANDSHAKE_TIMEOUT, handler.greeter().answer(&mut io));
    let caller = match greeting.await.map_err(timed_out)?? {
        Ok(caller) => caller,
        Err(refusal) => {
            tracing::warn!(%from, "refused a peer: {refusal:?}");
            return Ok(());
        }
    };
    Session::new(handler, caller).run(io).await
}

/// One connection's state.
struct Session<E: Env> {
    handler: Arc<Handler<E>>,
    caller: Caller,
    receiving: Option<Receiving>,
    calls: JoinSet<()>,
}

impl<E: Env> Session<E> {
    fn new(handler: Arc<Handler<E>>, caller: Caller) -> Self {
        Self {
            handler,
            caller,
            receiving: None,
            calls: JoinSet::new(),
        }
    }

    async fn run(mut self, io: Box<dyn Io>) -> io::Result<()> {
        let (read, write) = tokio::io::split(io);
        let (answers, queue) = mpsc::channel(PEER_QUEUE_FRAMES_MAX);
        let metrics = Arc::clone(&self.handler.shared().metrics);
        let mut writer = JoinSet::new();
        writer.spawn({
            let metrics = Arc::clone(&metrics);
            async move { write_frames(write, queue, Some(&metrics)).await }
        });
        let mut read = BufReader::with_capacity(256 << 10, read);
        while let Some(frame) = read_frame(&mut read).await? {
            metrics
                .peer_received_bytes
                .fetch_add(frame.wire_len() as u64, Ordering::Relaxed);
            while self.calls.try_join_next().is_some() {}
            while self.calls.len() >= PEER_QUEUE_FRAMES_MAX {
                self.calls.join_next().await;
            }
            let call = Call::from_kind(frame.kind)
                .ok_or_else(|| io::Error::other("a peer sent an unknown request"))?;
            self.dispatch(call, frame, &answers).await?;
        }
        Ok(())
    }

    async fn dispatch(
        &mut self,
        call: Call,
        frame: Frame,
        answers: &mpsc::Sender<Frame>,
    ) -> io::Result<()> {
        let Frame { id, body, .. } = frame;
        if self.caller == Caller::Stranger && !matches!(call, Call::Members | Call::Repair) {
            return Err(io::Error::other(
                "a stranger asked for more than the members or a repair",
            ));
        }
        match call {
            Call::Append => self.append(id, body, answers).await,
            Call::SnapshotBegin | Call::SnapshotFile | Call::SnapshotData | Call::SnapshotEnd => {
                self.snapshot(call, id, body, answers).await
            }
            _ => {
                let (handler, answers) = (Arc::clone(&self.handler), answers.clone());
                self.calls.spawn(async move {
                    let frame = reply(id, handler.answer(call, body).await);
                    // The connection is gone when nobody takes the answer.
                    let _ = answers.send(frame).await;
                });
                Ok(())
            }
        }
    }

    /// Hands an append to Raft before the next frame is read, and answers when it is durable:
    /// later appends are on their way to the disk meanwhile.
    async fn append(
        &mut self,
        id: u64,
        body: Bytes,
        answers: &mpsc::Sender<Frame>,
    ) -> io::Result<()> {
        let handler = Arc::clone(&self.handler);
        let mut appending = Box::pin(async move { handler.append(body).await });
        let first = std::future::poll_fn(|cx| {
            Poll::Ready(match appending.as_mut().poll(cx) {
                Poll::Ready(done) => Some(done),
                Poll::Pending => None,
            })
        })
        .await;
        let answers = answers.clone();
        self.calls.spawn(async move {
            let done = match first {
                Some(done) => done,
                None => appending.await,
            };
            let frame = reply(id, done);
            let _ = answers.send(frame).await;
        });
        Ok(())
    }

    async fn snapshot(
        &mut self,
        call: Call,
        id: u64,
        body: Bytes,
        answers: &mpsc::Sender<Frame>,
    ) -> io::Result<()> {
        let out_of_order = || io::Error::other("snapshot pieces out of order");
        let mut answer = Ok(Bytes::new());
        match call {
            Call::SnapshotBegin => {
                self.receiving = Some(Receiving::begin(body, self.handler.state_dir())?);
            }
            Call::SnapshotFile => {
                self.receiving
                    .as_mut()
                    .ok_or_else(out_of_order)?
                    .file(body)?;
            }
            Call::SnapshotData => {
                self.receiving
                    .as_mut()
                    .ok_or_else(out_of_order)?
                    .data(&self.handler.env, body)
                    .await?;
            }
            _ => {
                let (vote, meta, dir) = self.receiving.take().ok_or_else(out_of_order)?.end()?;
                answer = self.handler.install(vote, meta, dir).await;
            }
        }
        answers
            .send(reply(id, answer))
            .await
            .map_err(|_| io::Error::other("connection closed"))
    }
}

fn reply(id: u64, result: Result<Bytes, Error>) -> Frame {
    let (kind, body) = match result {
        Ok(body) => (Call::ANSWER, body),
        Err(e) => (Call::FAILURE, Bytes::copy_from_slice(&[e.wire()])),
    };
    Frame { kind, id, body }
}

impl From<Malformed> for Error {
    fn from(e: Malformed) -> Self {
        Self::Fatal(e.to_string())
    }
}
