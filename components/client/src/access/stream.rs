//! Bodies of answers, which end early when their server has fallen silent.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::futures::OwnedNotified;
use tower::BoxError;

use super::identity::Credentials;
use super::servers::Chosen;

/// The body of an answer. A watch can say nothing for minutes, and a server that is stopped keeps its connections:
/// once another request finds that out, the watch is cut and goes on at another server. One that was begun with
/// credentials that count no more ends as if the server had ended it, and is begun anew.
pub(crate) struct Stream {
    body: Incoming,
    silent: Pin<Box<OwnedNotified>>,
    life: Life,
}

/// How long an answer may last.
enum Life {
    /// As long as its server likes.
    Whole,
    /// And as its credentials count.
    While(Pin<Box<OwnedNotified>>),
    Over,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Stream {
    /// `under`: the credentials without which it must not go on.
    pub(crate) fn new(body: Incoming, from: &Chosen, under: Option<&Credentials>) -> Self {
        let life = match under.map(Credentials::retired) {
            None => Life::Whole,
            Some(Some(retired)) => Life::While(Box::pin(retired)),
            Some(None) => Life::Over,
        };
        Self {
            body,
            life,
            silent: Box::pin(Arc::clone(&from.silent).notified_owned()),
        }
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        }
        let is_over = match &mut self.life {
            Life::Whole => false,
            Life::While(retired) => retired.as_mut().poll(context).is_ready(),
            Life::Over => true,
        };
        if is_over {
            self.life = Life::Over;
            return Poll::Ready(None);
        }
        ready!(self.silent.as_mut().poll(context));
        Poll::Ready(Some(Err(
            "the server does not answer others any more".into()
        )))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
