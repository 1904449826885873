//! The body of somebody else's answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Body as _, Incoming};

use super::room::{Place, Room};

/// Why an answer is not whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    #[error("behind this server: {0}")]
    Behind(#[from] hyper::Error),
    #[error("the server ends")]
    Ending,
}

/// Pieces of an answer as they come. After an error there are no more, and the client must see that.
pub(crate) type Relayed = Pin<Box<dyn Stream<Item = Result<Bytes, Cut>> + Send>>;

/// The body of an answer, until it or this server ends.
pub(crate) fn relayed(body: Incoming, room: &Room, place: Place) -> Relayed {
    Box::pin(Relay {
        body: Some(body),
        ended: Box::pin(room.ended()),
        _place: place,
    })
}

struct Relay {
    body: Option<Incoming>,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    _place: Place,
}

impl Stream for Relay {
    type Item = Result<Bytes, Cut>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(body) = &mut self.body else {
                return Poll::Ready(None);
            };
            let cut = match Pin::new(body).poll_frame(cx) {
                // Trailers are not passed on.
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    Err(_) => continue,
                },
                Poll::Ready(Some(Err(e))) => Cut::Behind(e),
                Poll::Ready(None) => {
                    self.body = None;
                    return Poll::Ready(None);
                }
                Poll::Pending => match self.ended.as_mut().poll(cx) {
                    Poll::Ready(()) => Cut::Ending,
                    Poll::Pending => return Poll::Pending,
                },
            };
            self.body = None;
            return Poll::Ready(Some(Err(cut)));
        }
    }
}
