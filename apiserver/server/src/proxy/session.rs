//! A command's streams between a client's messages and a kubelet's SPDY.

use std::collections::HashSet;
use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::activity::Activity;
use super::status;
use super::tunnel::marked;
use crate::limits::{
    COMMAND_STATUS_BYTES_MAX, STREAM_CHUNK_BYTES, STREAM_OPEN_TIMEOUT, STREAM_PING_EVERY,
};
use crate::spdy::{self, Decoder, Event, Headers};

/// Channels of a client's messages.
pub(super) mod channel {
    pub(crate) const STDIN: u8 = 0;
    pub(crate) const STDOUT: u8 = 1;
    pub(crate) const STDERR: u8 = 2;
    pub(crate) const STATUS: u8 = 3;
    pub(crate) const RESIZE: u8 = 4;
    /// The next byte names a channel that ends.
    pub(crate) const CLOSE: u8 = 255;
}

/// The streams that a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) tty: bool,
}

/// Numbers of a command's streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Streams {
    status: u32,
    stdin: Option<u32>,
    stdout: Option<u32>,
    stderr: Option<u32>,
    resize: Option<u32>,
}

impl Streams {
    /// The streams, and the frames that open them, in upstream's order.
    pub(super) fn open(wanted: Wanted) -> (Self, BytesMut) {
        let (mut headers, mut frames, mut next) = (Headers::default(), BytesMut::new(), 1);
        let mut open = |kind: &str| {
            let number = next;
            next += 2;
            frames.extend_from_slice(&spdy::open(&mut headers, number, &[("streamtype", kind)]));
            number
        };
        let streams = Self {
            status: open("error"),
            stdin: wanted.stdin.then(|| open("stdin")),
            stdout: wanted.stdout.then(|| open("stdout")),
            // A terminal has but one output.
            stderr: (wanted.stderr && !wanted.tty).then(|| open("stderr")),
            resize: wanted.tty.then(|| open("resize")),
        };
        (streams, frames)
    }

    fn all(&self) -> impl Iterator<Item = u32> {
        let others = [self.stdin, self.stdout, self.stderr, self.resize];
        others.into_iter().flatten().chain([self.status])
    }
}

/// A part of what a client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    stream: u32,
    bytes: Bytes,
    fin: bool,
}

/// Takes a kubelet's streams to the client until the command has ended. What is told of the end; `Err` if it is not known.
pub(super) struct Down<'a, R, S> {
    pub(super) from: &'a mut R,
    pub(super) client: &'a mut S,
    pub(super) streams: Streams,
    /// Told once all streams are accepted.
    pub(super) opened: Option<oneshot::Sender<()>>,
    /// Frames that must be answered.
    pub(super) answers: mpsc::Sender<Bytes>,
    pub(super) activity: &'a Activity,
}

impl<R, S> Down<'_, R, S>
where
    R: AsyncRead + Unpin,
    S: Sink<Message, Error = SocketError> + Unpin,
{
    pub(super) async fn run(mut self) -> Result<Value, String> {
        let mut waiting: HashSet<u32> = self.streams.all().collect();
        let outputs = [self.streams.stdout, self.streams.stderr];
        let mut running: HashSet<u32> = outputs.into_iter().flatten().collect();
        running.insert(self.streams.status);
        let (mut decoder, mut input) = (Decoder::default(), BytesMut::new());
        let mut status = BytesMut::new();
        let until = Instant::now() + STREAM_OPEN_TIMEOUT;
        loop {
            while let Some(event) = decoder.next(&mut input).map_err(|e| e.to_string())? {
                match event {
                    Event::Data { stream, bytes } if stream == self.streams.status => {
                        if status.len() + bytes.len() > COMMAND_STATUS_BYTES_MAX {
                            return Err("the status of the command is too long".to_owned());
                        }
                        self.activity.touch();
                        status.extend_from_slice(&bytes);
                    }
                    Event::Data { stream, bytes } => self.output(stream, &bytes).await?,
                    Event::Reply { stream } => {
                        waiting.remove(&stream);
                    }
                    Event::Reset { stream } if waiting.contains(&stream) => {
                        return Err("a stream was refused".to_owned());
                    }
                    Event::End { stream } | Event::Reset { stream } => {
                        running.remove(&stream);
                    }
                    Event::Opened { stream } => self.answer(spdy::refuse(stream)),
                    // Odd ones are answers to this side's.
                    Event::Ping { id } if id % 2 == 0 => self.answer(spdy::ping(id)),
                    Event::Ping { .. } | Event::GoAway => {}
                }
            }
            if waiting.is_empty()
                && let Some(opened) = self.opened.take()
            {
                let _ = opened.send(());
            }
            if running.is_empty() {
                return Ok(status::decode(&status));
            }
            input.reserve(STREAM_CHUNK_BYTES);
            let read = self.from.read_buf(&mut input);
            let read = match waiting.is_empty() {
                true => read.await,
                false => match timeout_at(until, read).await {
                    Ok(read) => read,
                    Err(_) => return Err("timed out waiting for streams".to_owned()),
                },
            };
            match read {
                // Signs of life alone keep nothing alive: data is noted where it is sent on.
                Ok(read) if read > 0 => {}
                // The last word may be here although its stream did not end in good order.
                _ if !status.is_empty() => return Ok(status::decode(&status)),
                Ok(_) => return Err("the connection to the kubelet ended".to_owned()),
                Err(e) => return Err(format!("the connection to the kubelet: {e}")),
            }
        }
    }

    async fn output(&mut self, stream: u32, bytes: &[u8]) -> Result<(), String> {
        let channel = match Some(stream) {
            known if known == self.streams.stdout => channel::STDOUT,
            known if known == self.streams.stderr => channel::STDERR,
            _ => return Ok(()),
        };
        let sent = self.client.send(marked(channel, bytes)).await;
        self.activity.touch();
        sent.map_err(|e| format!("the client: {e}"))
    }

    fn answer(&self, frame: Bytes) {
        // Too many of them unanswered: the kubelet does not read, and will not miss this one.
        let _ = self.answers.try_send(frame);
    }
}

/// Takes a client's messages apart until it goes.
pub(super) async fn up<S>(
    messages: &mut S,
    streams: Streams,
    opened: oneshot::Receiver<()>,
    pieces: mpsc::Sender<Piece>,
    activity: &Activity,
) where
    S: Stream<Item = Result<Message, SocketError>> + Unpin,
{
    if opened.await.is_err() {
        return;
    }
    let mut inputs = Inputs {
        stdin: streams.stdin,
        resize: streams.resize,
    };
    while let Some(Ok(message)) = messages.next().await {
        activity.touch();
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return,
            _ => continue,
        };
        match inputs.take(bytes) {
            Ok(None) => {}
            Ok(Some(piece)) => {
                if pieces.send(piece).await.is_err() {
                    // The kubelet takes nothing more, but may still say how it ended.
                    return std::future::pending().await;
                }
            }
            Err(Crooked) => return,
        }
    }
}

/// Streams that a client may still write to.
#[derive(Debug)]
struct Inputs {
    stdin: Option<u32>,
    resize: Option<u32>,
}

/// A message that the protocol does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Crooked;

impl Inputs {
    /// What a message has for a stream, if anything.
    fn take(&mut self, mut message: Bytes) -> Result<Option<Piece>, Crooked> {
        if message.is_empty() {
            return Ok(None);
        }
        let input = match message.get_u8() {
            channel::CLOSE => match message[..] {
                [channel::STDIN] => return Ok(self.stdin.take().map(ended)),
                [channel::RESIZE] => return Ok(self.resize.take().map(ended)),
                [channel::STDOUT..=channel::STATUS] => return Ok(None),
                _ => return Err(Crooked),
            },
            channel::STDIN => self.stdin,
            channel::RESIZE => self.resize,
            _ => None,
        };
        Ok(input.filter(|_| !message.is_empty()).map(|stream| Piece {
            stream,
            bytes: message,
            fin: false,
        }))
    }
}

fn ended(stream: u32) -> Piece {
    Piece {
        stream,
        bytes: Bytes::new(),
        fin: true,
    }
}

/// Writes to a kubelet what is there to be written, and signs of life. Never returns but with an error.
pub(super) async fn write<W>(
    to: &mut W,
    mut pieces: mpsc::Receiver<Piece>,
    mut answers: mpsc::Receiver<Bytes>,
    activity: &Activity,
) -> io::Error
where
    W: AsyncWrite + Unpin,
{
    let mut beat = interval(STREAM_PING_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.reset();
    let mut id = 1_u32;
    loop {
        let written = tokio::select! {
            biased;
            Some(frame) = answers.recv() => frames(to, &[&frame]).await,
            _ = beat.tick() => {
                let sign = spdy::ping(id);
                id = id.wrapping_add(2);
                frames(to, &[&sign]).await
            }
            Some(piece) = pieces.recv() => {
                let written = data(to, &piece).await;
                activity.touch();
                written
            }
        };
        if let Err(e) = written {
            return e;
        }
    }
}

async fn data<W: AsyncWrite + Unpin>(to: &mut W, piece: &Piece) -> io::Result<()> {
    for bytes in piece.bytes.chunks(STREAM_CHUNK_BYTES) {
        let head = spdy::data_head(piece.stream, false, bytes.len());
        frames(to, &[&head, bytes]).await?;
    }
    match piece.fin {
        true => frames(to, &[&spdy::data_head(piece.stream, true, 0)]).await,
        false => Ok(()),
    }
}

/// Writes all parts as one.
pub(super) async fn frames<W: AsyncWrite + Unpin>(to: &mut W, parts: &[&[u8]]) -> io::Result<()> {
    to.write_all(&parts.concat()).await?;
    to.flush().await
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
