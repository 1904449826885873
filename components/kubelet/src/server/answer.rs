//! Answers.

use std::convert::Infallible;
use std::task::Poll;

use futures_util::stream::poll_fn;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::sync::mpsc;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(super) type Answer = Response<Body>;

/// Plain text, as upstream's handlers write errors: without an end of line.
pub(super) fn text(code: StatusCode, text: impl Into<Bytes>) -> Answer {
    whole(code, "text/plain; charset=utf-8", text)
}

pub(super) fn json(value: &serde_json::Value) -> Answer {
    whole(StatusCode::OK, "application/json", value.to_string())
}

pub(super) fn whole(code: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Answer {
    with_body(code, media, Full::new(body.into()).boxed_unsync())
}

/// What comes out of a channel, until nobody sends any more.
pub(super) fn streamed(media: &'static str, mut parts: mpsc::Receiver<Bytes>) -> Answer {
    let frames = poll_fn(move |context| match parts.poll_recv(context) {
        Poll::Ready(Some(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
        Poll::Ready(None) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    with_body(
        StatusCode::OK,
        media,
        StreamBody::new(frames).boxed_unsync(),
    )
}

fn with_body(code: StatusCode, media: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    let nosniff = HeaderName::from_static("x-content-type-options");
    headers.insert(nosniff, HeaderValue::from_static("nosniff"));
    answer
}
