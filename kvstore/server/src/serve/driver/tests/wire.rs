//! A socket whose readiness the test decides.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that tells of its readiness once per registration, as the operating system's does.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) arrived: Vec<u8>,
    /// Bytes the socket still takes.
    pub(super) takes: usize,
    /// What it took.
    pub(super) sent: Vec<u8>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    pub(super) fn arrive(&mut self, bytes: &[u8]) {
        self.arrived.extend_from_slice(bytes);
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.takes = bytes;
        if bytes == 0 {
            return;
        }
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

/// The server's end.
pub(super) struct Socket(pub(super) Rc<RefCell<Wire>>);

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if wire.arrived.is_empty() {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = wire.arrived.len().min(buf.remaining());
        buf.put_slice(&wire.arrived[..n]);
        wire.arrived.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        let n = wire.takes.min(buf.len());
        if n == 0 {
            wire.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        wire.takes -= n;
        wire.sent.extend_from_slice(&buf[..n]);
        Poll::Ready(Ok(n))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Whether the task is to be polled again.
pub(super) struct Woken(pub(super) AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}
