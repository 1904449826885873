//! The state of one connection.

use super::frame::{self, Code, WINDOW_DEFAULT, setting};
use super::hpack::{Decoder, Encoder};
use super::out::Out;
use super::stream::{Inbox, Stream};
use bytes::Bytes;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What the server allows its peers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnOptions {
    /// Largest request message in bytes.
    pub(crate) message_bytes_max: usize,
    /// Open streams; more are refused.
    pub(crate) streams_max: u32,
    /// Pings closer together than this, without data in between, are abuse.
    pub(crate) ping_interval_min: Duration,
}

/// Why a connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    pub(super) code: Code,
    pub(super) text: &'static str,
}

/// One connection: bytes in, events out, answers encoded into [`Conn::out`].
#[derive(Debug)]
pub(crate) struct Conn {
    pub(super) options: ConnOptions,
    /// An incomplete frame carried over to the next read.
    pub(super) partial: Vec<u8>,
    pub(super) preface_seen: bool,
    pub(super) settings_seen: bool,
    pub(super) decoder: Decoder,
    /// A header block continued in further frames.
    pub(super) block: Option<OpenBlock>,
    pub(super) last_stream: u32,
    pub(super) receive_window: i64,
    pub(super) unreturned: u32,
    pub(super) encoder: Encoder,
    pub(crate) out: Out,
    pub(super) send_window: i64,
    pub(super) stream_window: i64,
    pub(super) frame_bytes_max: usize,
    pub(super) streams: HashMap<u32, Stream>,
    /// Streams with data that wait for window or for room in `out`, in turn.
    pub(super) blocked: VecDeque<u32>,
    /// Streams whose senders wait for `out` to drain.
    pub(super) waiting: Vec<u32>,
    pub(super) leaving: bool,
    pub(super) pings: PingRecord,
    /// A ping of ours was answered, or anything else arrived, since this was last taken.
    pub(super) heard: bool,
}

/// A header block whose end has not arrived.
#[derive(Debug)]
pub(super) struct OpenBlock {
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    pub(super) bytes: Vec<u8>,
}

/// What grpc-go keeps to recognise ping abuse.
#[derive(Debug, Default)]
pub(super) struct PingRecord {
    pub(super) last: Option<Instant>,
    pub(super) strikes: u32,
    pub(super) forgiven: bool,
}

/// Window given to each stream and to the whole connection, in bytes.
pub(super) const STREAM_WINDOW_BYTES: u32 = 1 << 20;
pub(super) const CONN_WINDOW_BYTES: u32 = 16 << 20;
/// Largest decoded header list, and largest encoded block.
pub(super) const HEADER_LIST_BYTES_MAX: usize = 64 * 1024;
/// Above this much unwritten output nothing more is added from streams, and nothing more is read.
pub(crate) const OUT_BYTES_HIGH: usize = 256 * 1024;
/// Data a stream may hold back before its sender has to wait.
pub(super) const STREAM_PENDING_BYTES_MAX: usize = 256 * 1024;

impl Conn {
    /// Starts a connection; its settings are the first bytes of output.
    pub(crate) fn new(options: ConnOptions) -> Self {
        let mut conn = Self {
            options,
            partial: Vec::new(),
            preface_seen: false,
            settings_seen: false,
            decoder: Decoder::new(),
            block: None,
            last_stream: 0,
            receive_window: i64::from(CONN_WINDOW_BYTES),
            unreturned: 0,
            encoder: Encoder::new(),
            out: Out::default(),
            send_window: WINDOW_DEFAULT,
            stream_window: WINDOW_DEFAULT,
            frame_bytes_max: frame::FRAME_BYTES_DEFAULT,
            streams: HashMap::new(),
            blocked: VecDeque::new(),
            waiting: Vec::new(),
            leaving: false,
            pings: PingRecord::default(),
            heard: false,
        };
        let out = conn.out.buf();
        frame::settings(
            out,
            &[
                (setting::MAX_CONCURRENT_STREAMS, options.streams_max),
                (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES),
                (setting::MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX as u32),
            ],
        );
        frame::window_update(out, 0, CONN_WINDOW_BYTES - WINDOW_DEFAULT as u32);
        conn
    }

    /// Number of streams not yet ended by both sides.
    #[cfg(test)]
    pub(crate) fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Announces that no further streams are accepted; running ones may finish.
    pub(crate) fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) {
            frame::goaway(self.out.buf(), self.last_stream, Code::NoError, "");
        }
    }

    /// Tells the peer why the connection ends.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.leaving = true;
        frame::goaway(self.out.buf(), self.last_stream, failure.code, failure.text);
    }

    /// Sends a ping that the peer must answer.
    pub(crate) fn ping(&mut self) {
        let out = self.out.buf();
        frame::header(out, 8, frame::kind::PING, 0, 0);
        out.extend_from_slice(b"keepaliv");
    }

    /// Whether anything arrived since the last call.
    pub(crate) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// Tells every running call that its connection is gone.
    pub(crate) fn abandon(&mut self) {
        for stream in self.streams.values() {
            if let Some(inbox) = &stream.inbox {
                inbox.reset.set(true);
                inbox.wake();
            }
        }
        self.streams.clear();
        self.blocked.clear();
        self.waiting.clear();
    }

    /// The inbox of a stream whose call sends several messages: it carries the wake-ups. For a stream that is gone
    /// it says so.
    pub(crate) fn inbox(&mut self, id: u32) -> Rc<Inbox> {
        let inbox = Rc::new(Inbox::default());
        match self.streams.get_mut(&id) {
            Some(stream) => stream.inbox = Some(Rc::clone(&inbox)),
            None => inbox.reset.set(true),
        }
        inbox
    }

    /// Takes the next message of a streaming call and gives its window back.
    pub(crate) fn take_message(&mut self, id: u32, inbox: &Inbox) -> Option<Bytes> {
        let message = inbox.messages.borrow_mut().pop_front()?;
        self.consumed(id, message.len() + crate::grpc::PREFIX_BYTES);
        Some(message)
    }
}
