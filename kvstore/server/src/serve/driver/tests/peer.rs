//! A client of HTTP/2 that gives windows back when the test says so, and checks that they are kept.

use crate::http2::PREFACE;
use std::collections::BTreeMap;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CONNECTION_WINDOW: i64 = 65_535;

/// One frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// A window and what was received of it, but not given back.
#[derive(Debug)]
struct Window {
    open: i64,
    owed: u32,
}

impl Window {
    fn received(&mut self, bytes: usize) {
        self.open -= bytes as i64;
        self.owed += bytes as u32;
        assert!(self.open >= 0, "the server overran a window");
    }

    /// The update that gives all of it back.
    fn update(&mut self, stream: u32) -> Vec<u8> {
        let add = std::mem::take(&mut self.owed);
        self.open += i64::from(add);
        if add == 0 {
            return Vec::new();
        }
        frame(WINDOW_UPDATE, 0, stream, &add.to_be_bytes())
    }
}

/// One request and how much of its answer has come.
#[derive(Debug)]
pub(super) struct Call {
    window: Window,
    pub(super) got: usize,
    pub(super) ended: bool,
    /// Given up by this side.
    pub(super) dropped: bool,
}

/// The client's end of one connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// Sent, but not arrived yet.
    pub(super) sending: Vec<u8>,
    partial: Vec<u8>,
    stream_window: i64,
    connection: Window,
    pub(super) calls: BTreeMap<u32, Call>,
}

impl Peer {
    /// Says hello with these windows for each stream and for the connection.
    pub(super) fn new(stream_window: u32, connection_window: u32) -> Self {
        let mut sending = PREFACE.to_vec();
        let setting = [&[0, 4][..], &stream_window.to_be_bytes()].concat();
        sending.extend(frame(SETTINGS, 0, 0, &setting));
        let add = connection_window.saturating_sub(CONNECTION_WINDOW as u32);
        if add > 0 {
            sending.extend(frame(WINDOW_UPDATE, 0, 0, &add.to_be_bytes()));
        }
        Self {
            sending,
            partial: Vec::new(),
            stream_window: i64::from(stream_window),
            connection: Window {
                open: CONNECTION_WINDOW + i64::from(add),
                owed: 0,
            },
            calls: BTreeMap::new(),
        }
    }

    fn begin(&mut self) -> u32 {
        let id = self.calls.len() as u32 * 2 + 1;
        let window = Window {
            open: self.stream_window,
            owed: 0,
        };
        let call = Call {
            window,
            got: 0,
            ended: false,
            dropped: false,
        };
        self.calls.insert(id, call);
        id
    }

    /// `GET /`.
    pub(super) fn get(&mut self) {
        let id = self.begin();
        self.sending
            .extend(frame(HEADERS, END_HEADERS | END_STREAM, id, &[0x82, 0x84]));
    }

    /// Opens a streaming call with one message and ends this side of it.
    pub(super) fn stream(&mut self, message: &[u8]) {
        let id = self.begin();
        let mut block = vec![0x83];
        for (name, value) in [
            (&[0x04][..], "/etcdserverpb.Watch/Watch"),
            (&[0x0f, 0x10], "application/grpc"),
        ] {
            block.extend(name);
            block.push(value.len() as u8);
            block.extend(value.as_bytes());
        }
        self.sending.extend(frame(HEADERS, END_HEADERS, id, &block));
        let mut body = vec![0];
        body.extend((message.len() as u32).to_be_bytes());
        body.extend(message);
        self.sending.extend(frame(DATA, END_STREAM, id, &body));
    }

    /// Gives up a call that has not ended.
    pub(super) fn drop_call(&mut self, id: u32) {
        if let Some(call) = self.calls.get_mut(&id)
            && !call.ended
            && !std::mem::replace(&mut call.dropped, true)
        {
            self.sending
                .extend(frame(RST_STREAM, 0, id, &8u32.to_be_bytes()));
        }
    }

    /// Gives back what was received on a stream, or with 0 on the connection.
    pub(super) fn give_back(&mut self, stream: u32) {
        let update = match self.calls.get_mut(&stream) {
            Some(call) => call.window.update(stream),
            None => self.connection.update(0),
        };
        self.sending.extend(update);
    }

    /// Makes the window of every stream, open or not, larger.
    pub(super) fn enlarge(&mut self, by: u32) {
        self.stream_window += i64::from(by);
        for call in self.calls.values_mut() {
            call.window.open += i64::from(by);
        }
        let setting = [&[0, 4][..], &(self.stream_window as u32).to_be_bytes()].concat();
        self.sending.extend(frame(SETTINGS, 0, 0, &setting));
    }

    pub(super) fn ping(&mut self) {
        self.sending.extend(frame(PING, 0, 0, &[7; 8]));
    }

    /// Takes what the server has sent.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let mut rest = &self.partial[..];
        while let Some((head, after)) = rest.split_first_chunk::<9>() {
            let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            if after.len() < len {
                break;
            }
            rest = &after[len..];
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            assert_ne!(head[3], GOAWAY, "the server gave up");
            if head[3] == DATA {
                self.connection.received(len);
            }
            let Some(call) = self.calls.get_mut(&stream) else {
                assert_eq!(stream, 0, "a stream nobody opened");
                continue;
            };
            if head[3] == DATA {
                call.window.received(len);
                call.got += len;
            }
            let answers = matches!(head[3], DATA | HEADERS);
            call.ended |= head[3] == RST_STREAM || (answers && head[4] & END_STREAM != 0);
        }
        self.partial = rest.to_vec();
    }
}
