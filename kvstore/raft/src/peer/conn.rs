//! One connection to a peer, as the calling side sees it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::env::Io;
use crate::error::Error;
use crate::limits::PEER_QUEUE_FRAMES_MAX;
use crate::metrics::Metrics;
use crate::peer::frame::{Frame, read_frame};
use crate::peer::message::Call;

/// Bytes gathered into one write.
const WRITE_BYTES_MAX: usize = 1 << 20;
/// Write buffers above this are given back after use.
const WRITE_BUFFER_KEEP: usize = 256 << 10;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The connection broke: whether the request arrived is unknown.
    #[error("connection lost")]
    Lost,
    /// The peer answered with an error.
    #[error("{0}")]
    Remote(Error),
}

type Answer = oneshot::Sender<Result<Bytes, CallError>>;

#[derive(Debug, Default)]
struct Pending {
    /// `None` once the connection is closed.
    calls: Mutex<Option<HashMap<u64, Answer>>>,
}

impl Pending {
    fn close(&self) {
        // Dropping the senders tells the callers.
        *self.calls.lock() = None;
    }
}

/// Handle of a connection. The connection ends with its last handle.
#[derive(Debug)]
pub(crate) struct Conn {
    frames: mpsc::Sender<Frame>,
    pending: Arc<Pending>,
    next: AtomicU64,
    tasks: [JoinHandle<()>; 2],
}

/// A call on its way.
#[derive(Debug)]
pub(crate) struct InFlight(oneshot::Receiver<Result<Bytes, CallError>>);

impl InFlight {
    /// The answer; cancel safe.
    pub(crate) async fn answer(&mut self) -> Result<Bytes, CallError> {
        (&mut self.0).await.unwrap_or(Err(CallError::Lost))
    }
}

impl Conn {
    /// Takes over a stream whose handshake is done.
    pub(crate) fn start(io: Box<dyn Io>, metrics: Option<Arc<Metrics>>) -> Arc<Self> {
        let (read, write) = tokio::io::split(io);
        let (frames, queue) = mpsc::channel(PEER_QUEUE_FRAMES_MAX);
        let pending = Arc::new(Pending {
            calls: Mutex::new(Some(HashMap::new())),
        });
        let reader = tokio::spawn({
            let (pending, metrics) = (Arc::clone(&pending), metrics.clone());
            async move {
                if let Err(e) = read_answers(read, &pending, metrics.as_deref()).await {
                    tracing::debug!("peer connection: {e}");
                }
                pending.close();
            }
        });
        let writer = tokio::spawn({
            let pending = Arc::clone(&pending);
            async move {
                if let Err(e) = write_frames(write, queue, metrics.as_deref()).await {
                    tracing::debug!("peer connection: {e}");
                }
                pending.close();
            }
        });
        Arc::new(Self {
            frames,
            pending,
            next: AtomicU64::new(1),
            tasks: [reader, writer],
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pending.calls.lock().is_none()
    }

    /// Ends the connection; calls in flight are told that it was lost.
    pub(crate) fn close(&self) {
        self.pending.close();
        for task in &self.tasks {
            task.abort();
        }
    }

    /// Sends a request, in the order of the calls to this function.
    pub(crate) async fn submit(&self, call: Call, body: Bytes) -> Result<InFlight, CallError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tx, rx) = oneshot::channel();
        match self.pending.calls.lock().as_mut() {
            None => return Err(CallError::Lost),
            Some(calls) => {
                // Those who gave up left their entry behind; the peer's answer takes it away.
                calls.insert(id, tx);
            }
        }
        let frame = Frame {
            kind: call as u8,
            id,
            body,
        };
        self.frames.send(frame).await.map_err(|_| CallError::Lost)?;
        Ok(InFlight(rx))
    }

    /// Sends a request and waits for its answer. The caller sets the deadline.
    pub(crate) async fn call(&self, call: Call, body: Bytes) -> Result<Bytes, CallError> {
        self.submit(call, body).await?.answer().await
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.close();
    }
}

async fn read_answers(
    io: ReadHalf<Box<dyn Io>>,
    pending: &Pending,
    metrics: Option<&Metrics>,
) -> io::Result<()> {
    let mut io = BufReader::with_capacity(64 << 10, io);
    while let Some(frame) = read_frame(&mut io).await? {
        if let Some(m) = metrics {
            m.peer_received_bytes
                .fetch_add(frame.wire_len() as u64, Ordering::Relaxed);
        }
        let waiting = match pending.calls.lock().as_mut() {
            None => return Ok(()),
            Some(calls) => calls.remove(&frame.id),
        };
        let answer = match frame.kind {
            Call::ANSWER => Ok(frame.body),
            Call::FAILURE => {
                let number = frame.body.first().copied().unwrap_or(0);
                Err(CallError::Remote(Error::from_wire(number)))
            }
            _ => return Err(io::Error::other("a peer answered with a request")),
        };
        if let Some(tx) = waiting {
            // Nobody is left to tell when the caller gave up.
            let _ = tx.send(answer);
        }
    }
    Ok(())
}

/// Writes what queued meanwhile with one system call.
pub(crate) async fn write_frames(
    mut io: WriteHalf<Box<dyn Io>>,
    mut queue: mpsc::Receiver<Frame>,
    metrics: Option<&Metrics>,
) -> io::Result<()> {
    let mut out = BytesMut::new();
    while let Some(frame) = queue.recv().await {
        frame.put(&mut out);
        while out.len() < WRITE_BYTES_MAX {
            match queue.try_recv() {
                Ok(frame) => frame.put(&mut out),
                Err(_) => break,
            }
        }
        io.write_all(&out).await?;
        io.flush().await?;
        if let Some(m) = metrics {
            m.peer_sent_bytes
                .fetch_add(out.len() as u64, Ordering::Relaxed);
        }
        out.clear();
        if out.capacity() > WRITE_BUFFER_KEEP {
            out = BytesMut::new();
        }
    }
    io.shutdown().await
}
