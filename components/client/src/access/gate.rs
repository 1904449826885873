//! Connections that carry nothing once somebody else may lead.

use std::io::{Error, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::{BoxError, Service};

use crate::leader::{Fence, Fenced};

/// Makes connections with a gate.
#[derive(Clone, Debug)]
pub(crate) struct Gates<C> {
    pub(crate) connector: C,
    /// None lets everything through.
    pub(crate) fence: Option<Fence>,
}

/// A connection whose bytes are let out only while the fence is open. A request that was let through before the
/// process was stopped, and whose bytes were still here when it woke, is not sent.
#[derive(Debug)]
pub(crate) struct Gate<T> {
    stream: T,
    fence: Option<Fence>,
}

impl<C> Service<Uri> for Gates<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
    C::Response: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = Gate<C::Response>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Gate<C::Response>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let fence = self.fence.clone();
        let connecting = self.connector.call(uri);
        Box::pin(async move {
            let stream = connecting.await.map_err(Into::into)?;
            Ok(Gate::new(stream, fence))
        })
    }
}

impl<T> Gate<T> {
    pub(crate) fn new(stream: T, fence: Option<Fence>) -> Self {
        Self { stream, fence }
    }

    fn pass(&self) -> Result<(), Error> {
        match &self.fence {
            Some(fence) if !fence.is_open() => Err(Error::other(Fenced)),
            _ => Ok(()),
        }
    }
}

impl<T: Connection> Connection for Gate<T> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl<T: Read + Unpin> Read for Gate<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> Write for Gate<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        self.pass()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        self.pass()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
