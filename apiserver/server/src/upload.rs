//! The body of a request, and what becomes of it when the answer is there before it was read.
//!
//! A client that is still sending when its connection closes may lose the answer, and one that was not told of the end
//! sends its next request into it. So what remains of a body is read and thrown away, within limits, while the answer is
//! on its way; where that may not be enough the answer says that the connection ends with it. HTTP/2 has streams for
//! that and needs none of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::{HeaderMap, Response, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::body::Body;
use crate::limits::{UNREAD_BYTES_KEPT_ALIVE_MAX, UNREAD_BYTES_MAX, UNREAD_TIMEOUT};

/// A request's body.
#[derive(Debug)]
pub(crate) struct Upload {
    /// There until it is dropped.
    body: Option<Incoming>,
    rest: Arc<Mutex<Option<Incoming>>>,
}

/// Where the body ends up once nobody will read it.
#[derive(Debug)]
pub(crate) struct Rest {
    body: Arc<Mutex<Option<Incoming>>>,
    /// Whether the client waits to be asked for the body: it was not sent then.
    awaits_leave: bool,
    is_stream: bool,
}

impl Upload {
    pub(crate) fn new(body: Incoming, version: Version, headers: &HeaderMap) -> (Self, Rest) {
        let rest = Arc::new(Mutex::new(None));
        let upload = Self {
            body: Some(body),
            rest: Arc::clone(&rest),
        };
        let rest = Rest {
            body: rest,
            awaits_leave: headers.contains_key(EXPECT),
            is_stream: version >= Version::HTTP_2,
        };
        (upload, rest)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        *self.rest.lock() = self.body.take();
    }
}

impl hyper::body::Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Incoming::size_hint)
    }
}

impl Rest {
    /// Lets go of what was not read, and says in the answer if the connection ends for it.
    pub(crate) fn let_go(self, response: &mut Response<Body>) {
        let rest = self.body.lock().take();
        let Some(rest) = rest.filter(|rest| !rest.is_end_stream() && !self.is_stream) else {
            return;
        };
        let left = rest.size_hint().exact();
        let is_short = left.is_some_and(|left| left <= UNREAD_BYTES_KEPT_ALIVE_MAX);
        if self.awaits_leave || !is_short {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        if !self.awaits_leave {
            tokio::spawn(timeout(UNREAD_TIMEOUT, discard(rest)));
        }
    }
}

/// Reads what remains, up to a limit. The connection closes if that is not the end.
async fn discard(mut rest: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = rest.frame().await {
        read += frame.data_ref().map_or(0, |data| data.len() as u64);
        if read > UNREAD_BYTES_MAX {
            return;
        }
    }
}
