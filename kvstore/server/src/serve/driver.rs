//! The task of one HTTP/2 connection: reads, lets calls run, and writes everything they produced at once.

use super::call::{Pending, Service};
use super::registry::{Entry, Registry};
use crate::http2::{Conn, ConnOptions, Event};
use crate::limits::{CALLS_PER_CONNECTION_MAX, READ_BUFFER_BYTES, ROUNDS_PER_WAKE_MAX};
use crate::metrics::Traffic;
use futures_util::stream::{FuturesUnordered, Stream};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Server-side pings of idle connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepAlive {
    /// Silence after which a ping is sent; zero disables.
    pub(crate) interval: Duration,
    /// Time the peer has to react.
    pub(crate) timeout: Duration,
}

/// Drives one connection to its end.
pub(crate) struct Driver<IO, S> {
    io: IO,
    conn: Rc<RefCell<Conn>>,
    calls: FuturesUnordered<Pending>,
    events: Vec<Event>,
    service: Rc<S>,
    registry: Rc<Registry>,
    entry: Option<Entry>,
    keep_alive: KeepAlive,
    timer: Option<Pin<Box<Sleep>>>,
    pinged: bool,
    failed: bool,
    traffic: Rc<Traffic>,
}

thread_local! {
    /// Requests are copied out of it before anything else runs, so one buffer serves all connections.
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BUFFER_BYTES]);
}

impl<IO, S> Driver<IO, S>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: Service,
{
    /// `first` is what was read while telling protocols apart.
    pub(crate) fn new(
        io: IO,
        first: &[u8],
        options: ConnOptions,
        keep_alive: KeepAlive,
        service: Rc<S>,
        registry: Rc<Registry>,
        traffic: Rc<Traffic>,
    ) -> Self {
        let mut conn = Conn::new(options);
        let mut events = Vec::new();
        let mut failed = false;
        traffic.received(first.len());
        if let Err(failure) = conn.receive(first, &mut events) {
            conn.fail(failure);
            failed = true;
        }
        let timer =
            (keep_alive.interval > Duration::ZERO).then(|| Box::pin(sleep(keep_alive.interval)));
        Self {
            io,
            conn: Rc::new(RefCell::new(conn)),
            calls: FuturesUnordered::new(),
            events,
            service,
            registry,
            entry: None,
            keep_alive,
            timer,
            pinged: false,
            failed,
            traffic,
        }
    }

    /// Reads once; `true` if something arrived.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let mut buf = ReadBuf::new(buffer);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                    Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
                }
                Poll::Ready(Ok(())) => {
                    self.traffic.received(buf.filled().len());
                    let mut conn = self.conn.borrow_mut();
                    if let Err(failure) = conn.receive(buf.filled(), &mut self.events) {
                        tracing::debug!(error = %failure, "closing a connection");
                        conn.fail(failure);
                        self.failed = true;
                    }
                    Poll::Ready(Ok(true))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Ready(Ok(false)),
            }
        })
    }

    fn dispatch(&mut self) {
        for event in self.events.drain(..) {
            if let Some(pending) = self.service.handle(&self.conn, event) {
                self.calls.push(pending);
            }
        }
    }

    /// Lets every call that was woken run; `true` if any ended.
    fn run_calls(&mut self, cx: &mut Context<'_>) -> bool {
        let mut ended = false;
        while let Poll::Ready(Some(())) = Pin::new(&mut self.calls).poll_next(cx) {
            ended = true;
        }
        ended
    }

    /// Writes; `true` if that made room for more.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut conn = self.conn.borrow_mut();
        let before = conn.out.len();
        let written = conn.out.poll_write(Pin::new(&mut self.io), cx)?;
        self.traffic.sent(before - conn.out.len());
        if before > 0 && Pin::new(&mut self.io).poll_flush(cx)?.is_pending() {
            return Poll::Ready(Ok(false));
        }
        if before == 0 {
            return Poll::Ready(Ok(false));
        }
        conn.drained();
        Poll::Ready(Ok(written.is_ready() && conn.out.len() > 0))
    }

    /// Sends a ping after long silence; `false` once the peer has not answered one.
    fn alive(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(timer) = &mut self.timer else {
            return true;
        };
        while timer.as_mut().poll(cx).is_ready() {
            let mut conn = self.conn.borrow_mut();
            let wait = if conn.take_heard() {
                self.pinged = false;
                self.keep_alive.interval
            } else if self.pinged {
                return false;
            } else {
                conn.ping();
                self.pinged = true;
                self.keep_alive.timeout
            };
            timer.as_mut().reset(Instant::now() + wait);
        }
        true
    }

    /// Whether a read may add to what the connection holds.
    fn room(&self) -> bool {
        self.conn.borrow().out.len() < crate::http2::OUT_BYTES_HIGH
            && self.calls.len() < CALLS_PER_CONNECTION_MAX
    }

    fn round(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut progress = false;
        let reads = self.room();
        if reads {
            match self.read(cx) {
                Poll::Ready(Ok(got)) => progress |= got,
                other => return other,
            }
        }
        self.dispatch();
        progress |= self.run_calls(cx);
        match self.write(cx) {
            // Who did not read has no waker with the socket: what arrived meanwhile would lie there for ever.
            Poll::Ready(Ok(more)) => Poll::Ready(Ok(progress || more || (!reads && self.room()))),
            other => other,
        }
    }
}

impl<IO, S> Future for Driver<IO, S>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: Service,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.entry.is_none() {
            this.entry = Some(this.registry.enter(cx.waker()));
        }
        if !this.alive(cx) {
            return Poll::Ready(());
        }
        if this.registry.is_leaving() {
            this.conn.borrow_mut().leave();
        }
        for _ in 0..ROUNDS_PER_WAKE_MAX {
            match this.round(cx) {
                Poll::Ready(Ok(true)) if !this.failed => {}
                Poll::Ready(Ok(_)) => {
                    let done = this.failed
                        || (this.registry.is_leaving()
                            && this.calls.is_empty()
                            && this.conn.borrow().out.len() == 0);
                    return if done { Poll::Ready(()) } else { Poll::Pending };
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<IO, S> Drop for Driver<IO, S> {
    fn drop(&mut self) {
        self.conn.borrow_mut().abandon();
    }
}

#[cfg(test)]
mod tests;
