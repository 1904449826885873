//! Telling protocols apart by the first bytes of a connection.

use crate::http2::PREFACE;
use crate::limits::FIRST_BYTES_TIMEOUT;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// First byte of a TLS handshake record.
pub(super) const TLS_HANDSHAKE: u8 = 0x16;

/// What a client speaks, with the bytes read to find out.
#[derive(Debug)]
pub(super) enum Protocol {
    Http2(Vec<u8>),
    Http1(Vec<u8>),
}

/// Reads until HTTP/2's preface is recognised or ruled out. An HTTP/2 client sends at least its preface first.
pub(super) async fn protocol<IO: AsyncRead + Unpin>(io: &mut IO) -> io::Result<Protocol> {
    let mut first = Vec::with_capacity(256);
    let known = async {
        loop {
            if io.read_buf(&mut first).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            let compared = first.len().min(PREFACE.len());
            if first[..compared] != PREFACE[..compared] {
                return Ok(false);
            }
            if compared == PREFACE.len() {
                return Ok(true);
            }
        }
    };
    let http2 = timeout(FIRST_BYTES_TIMEOUT, known)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    Ok(if http2 {
        Protocol::Http2(first)
    } else {
        Protocol::Http1(first)
    })
}

/// A stream whose first bytes were read already.
#[derive(Debug)]
pub(super) struct Rewound<IO> {
    first: Vec<u8>,
    read: usize,
    io: IO,
}

impl<IO> Rewound<IO> {
    pub(super) fn new(first: Vec<u8>, io: IO) -> Self {
        Self { first, read: 0, io }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Rewound<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.first[this.read..];
        if rest.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let n = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..n]);
        this.read += n;
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Rewound<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
