//! One request stream: what has arrived, what is still to be sent, and the inbox of a streaming call.

use super::assemble::Assembler;
use super::head::Head;
use crate::grpc::Status;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

/// State of a stream, kept until both sides have ended it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) send_window: i64,
    pub(super) receive_window: i64,
    /// Received and consumed, but not yet given back to the peer.
    pub(super) unreturned: u32,
    pub(super) receiving: Receiving,
    pub(super) remote_closed: bool,
    pub(super) head_sent: bool,
    /// This side has nothing more to add: the frames after `pending` are the trailers.
    pub(super) end: Option<End>,
    pub(super) ended: bool,
    pub(super) pending: VecDeque<Bytes>,
    pub(super) pending_bytes: usize,
    /// Listed among the streams that wait for window.
    pub(super) blocked: bool,
    pub(super) assembler: Assembler,
    pub(super) inbox: Option<Rc<Inbox>>,
}

/// What the next message is for.
#[derive(Debug)]
pub(super) enum Receiving {
    /// The single message of a call that then starts.
    Single(Box<Head>),
    /// Messages of a running call.
    Inbox,
    /// Nothing is expected; data is dropped.
    Nothing,
}

/// How this side ends a stream.
#[derive(Debug)]
pub(super) enum End {
    Trailers(Status),
    /// The body of a plain HTTP answer ends with its last DATA frame.
    Body,
}

impl Stream {
    pub(super) fn new(send_window: i64, receive_window: i64) -> Self {
        Self {
            send_window,
            receive_window,
            unreturned: 0,
            receiving: Receiving::Nothing,
            remote_closed: false,
            head_sent: false,
            end: None,
            ended: false,
            pending: VecDeque::new(),
            pending_bytes: 0,
            blocked: false,
            assembler: Assembler::default(),
            inbox: None,
        }
    }

    /// Wakes the call that reads or writes this stream.
    pub(super) fn wake(&self) {
        if let Some(inbox) = &self.inbox {
            inbox.wake();
        }
    }
}

/// Messages of a streaming call on their way to its handler; its size is bounded by the stream's receive window.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(super) messages: RefCell<VecDeque<Bytes>>,
    /// The client will send no more.
    pub(super) ended: Cell<bool>,
    /// The stream or its connection is gone: nothing can be sent either.
    pub(super) reset: Cell<bool>,
    /// The client broke the framing; the call must end with this.
    pub(super) broken: RefCell<Option<Status>>,
    waker: RefCell<Option<Waker>>,
}

impl Inbox {
    /// Registers the task to wake on the next message, end, reset or room to send.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        match &mut *slot {
            Some(old) if old.will_wake(waker) => {}
            other => *other = Some(waker.clone()),
        }
    }

    pub(crate) fn wake(&self) {
        let waker = self.waker.borrow();
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.reset.get()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    pub(crate) fn broken(&self) -> Option<Status> {
        self.broken.borrow().clone()
    }
}
