//! How services answer: a handle on one stream of one connection.

use crate::grpc::Status;
use crate::http2::{Conn, Event, Inbox};
use bytes::Bytes;
use prost::Message;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A call that could not be answered at once.
pub(crate) type Pending = Pin<Box<dyn Future<Output = ()>>>;

/// What a connection delivers its requests to.
pub(crate) trait Service: 'static {
    /// Starts handling a request. Whatever can be answered at once is; the rest is returned as a future that the
    /// connection drives to its end.
    fn handle(self: &Rc<Self>, conn: &Rc<RefCell<Conn>>, event: Event) -> Option<Pending>;
}

/// Answers one call. Sending to a stream the client has given up does nothing.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    conn: Rc<RefCell<Conn>>,
    stream: u32,
}

impl Reply {
    pub(crate) fn new(conn: &Rc<RefCell<Conn>>, stream: u32) -> Self {
        Self {
            conn: Rc::clone(conn),
            stream,
        }
    }

    /// One message and `OK`.
    pub(crate) fn message<M: Message>(&self, message: &M) {
        self.conn.borrow_mut().answer(self.stream, message);
    }

    /// The end of the call.
    pub(crate) fn finish(&self, status: Status) {
        self.conn.borrow_mut().finish(self.stream, status);
    }

    /// An ordinary HTTP answer.
    pub(crate) fn http(&self, status: u16, headers: &[(&str, &str)], body: Bytes) {
        self.conn
            .borrow_mut()
            .http_answer(self.stream, status, headers, body);
    }

    /// One message of several.
    pub(crate) fn push<M: Message>(&self, message: &M) {
        let len = message.encoded_len();
        self.conn
            .borrow_mut()
            .message(self.stream, len, &mut |out| {
                // `Vec` grows as needed, so encoding into it cannot fail.
                let _ = message.encode(out);
            });
    }

    /// Messages that are framed already; `pieces` is emptied.
    pub(crate) fn framed(&self, pieces: &mut Vec<Bytes>) {
        self.conn.borrow_mut().framed(self.stream, pieces);
    }

    /// For a call that answers with several messages.
    pub(crate) fn duplex(self) -> Duplex {
        let inbox = self.conn.borrow_mut().inbox(self.stream);
        Duplex { reply: self, inbox }
    }
}

/// Both directions of a streaming call.
#[derive(Debug)]
pub(crate) struct Duplex {
    pub(crate) reply: Reply,
    pub(crate) inbox: Rc<Inbox>,
}

/// The next thing a streaming client did.
#[derive(Debug)]
pub(crate) enum Incoming {
    Message(Bytes),
    /// It will send no more, but still listens.
    End,
    /// It is gone.
    Gone,
    /// Its messages cannot be read.
    Broken(Status),
}

impl Duplex {
    pub(crate) fn new(conn: &Rc<RefCell<Conn>>, stream: u32, inbox: Rc<Inbox>) -> Self {
        Self {
            reply: Reply::new(conn, stream),
            inbox,
        }
    }

    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Incoming> {
        self.inbox.register(cx.waker());
        if self.inbox.is_reset() {
            return Poll::Ready(Incoming::Gone);
        }
        let Reply { conn, stream } = &self.reply;
        if let Some(message) = conn.borrow_mut().take_message(*stream, &self.inbox) {
            return Poll::Ready(Incoming::Message(message));
        }
        if let Some(status) = self.inbox.broken() {
            return Poll::Ready(Incoming::Broken(status));
        }
        if self.inbox.is_ended() {
            Poll::Ready(Incoming::End)
        } else {
            Poll::Pending
        }
    }

    pub(crate) async fn next(&self) -> Incoming {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Whether there is room to send; if not, the task is woken when there is.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.inbox.register(cx.waker());
        if self.inbox.is_reset() || self.reply.conn.borrow_mut().can_send(self.reply.stream) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    pub(crate) async fn room(&self) {
        poll_fn(|cx| self.poll_room(cx)).await;
    }
}
