//! What a connection has still to write: small frames corked into one buffer, large payloads passed by reference.
//!
//! Everything a connection produces during one wake-up leaves in one system call. The buffer is borrowed from a
//! per-thread pool while it holds something, so an idle connection owns none.

use bytes::{Buf, Bytes};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Payloads of at least this many bytes are written from where they are instead of being copied.
pub(super) const BY_REFERENCE_BYTES_MIN: usize = 8 * 1024;
/// Buffers kept per thread, and the largest that is kept.
const POOL_BUFFERS_MAX: usize = 64;
const POOL_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// Slices handed to one `writev`.
const SLICES_MAX: usize = 64;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes in order: `queue` first, then `tail`.
#[derive(Debug, Default)]
pub(crate) struct Out {
    queue: VecDeque<Bytes>,
    queued: usize,
    tail: Vec<u8>,
    /// How much of `tail` is written already.
    written: usize,
}

impl Out {
    /// Bytes not yet written.
    pub(crate) fn len(&self) -> usize {
        self.queued + self.tail.len() - self.written
    }

    /// The buffer to append frames to.
    pub(super) fn buf(&mut self) -> &mut Vec<u8> {
        if self.tail.capacity() == 0 {
            self.tail = POOL.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        &mut self.tail
    }

    /// Appends a payload without copying it.
    pub(super) fn push(&mut self, payload: Bytes) {
        if !self.tail.is_empty() {
            let mut before = Bytes::from(std::mem::take(&mut self.tail));
            before.advance(std::mem::take(&mut self.written));
            self.queued += before.len();
            self.queue.push_back(before);
        }
        self.queued += payload.len();
        self.queue.push_back(payload);
    }

    /// Writes until nothing is left or the socket accepts no more.
    pub(crate) fn poll_write<W: AsyncWrite + ?Sized>(
        &mut self,
        mut io: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.len() > 0 {
            let n = if self.queue.is_empty() {
                ready!(io.as_mut().poll_write(cx, &self.tail[self.written..]))?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let mut used = 0;
                for chunk in self
                    .queue
                    .iter()
                    .map(|b| &b[..])
                    .chain([&self.tail[self.written..]])
                {
                    if used == SLICES_MAX {
                        break;
                    }
                    slices[used] = IoSlice::new(chunk);
                    used += 1;
                }
                ready!(io.as_mut().poll_write_vectored(cx, &slices[..used]))?
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(n);
        }
        self.recycle();
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut n: usize) {
        while let Some(front) = self.queue.front_mut() {
            if n < front.len() {
                front.advance(n);
                self.queued -= n;
                return;
            }
            n -= front.len();
            self.queued -= front.len();
            self.queue.pop_front();
        }
        self.written += n;
    }

    fn recycle(&mut self) {
        self.written = 0;
        let mut tail = std::mem::take(&mut self.tail);
        if tail.capacity() == 0 || tail.capacity() > POOL_BUFFER_BYTES_MAX {
            return;
        }
        tail.clear();
        POOL.with_borrow_mut(|pool| {
            if pool.len() < POOL_BUFFERS_MAX {
                pool.push(tail);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts at most `step` bytes per call.
    struct Slow {
        step: usize,
        got: Vec<u8>,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let n = self.step.min(buf.len());
            self.got.extend_from_slice(&buf[..n]);
            Poll::Ready(Ok(n))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn order_is_kept_whatever_the_socket_takes() {
        for step in [1, 3, 7, 1000] {
            let mut out = Out::default();
            let mut expected = Vec::new();
            for round in 0..5u8 {
                out.buf().extend_from_slice(&[round; 5]);
                expected.extend_from_slice(&[round; 5]);
                if round % 2 == 0 {
                    out.push(Bytes::from(vec![round + 100; 11]));
                    expected.extend_from_slice(&[round + 100; 11]);
                }
            }
            assert_eq!(out.len(), expected.len());
            let mut slow = Slow {
                step,
                got: Vec::new(),
            };
            let mut cx = Context::from_waker(std::task::Waker::noop());
            assert!(matches!(
                out.poll_write(Pin::new(&mut slow), &mut cx),
                Poll::Ready(Ok(()))
            ));
            assert_eq!(slow.got, expected);
            assert_eq!(out.len(), 0);
        }
    }
}
