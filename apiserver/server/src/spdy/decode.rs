//! From bytes to events.

use bytes::{Buf, Bytes, BytesMut};

use super::{CONTROL, FIN, HEAD_BYTES, VERSION, kind};

/// What a server did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A part of a stream's data.
    Data { stream: u32, bytes: Bytes },
    /// A stream ended from the other side.
    End { stream: u32 },
    /// A stream ended from both sides.
    Reset { stream: u32 },
    /// A stream was accepted.
    Reply { stream: u32 },
    /// The server wants a stream of its own.
    Opened { stream: u32 },
    /// To be sent back, unless it is an answer.
    Ping { id: u32 },
    /// No more streams are accepted.
    GoAway,
}

/// What is no SPDY/3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("a control frame of SPDY version {0}")]
    Version(u16),
    #[error("a control frame of type {kind} with {length} bytes")]
    Short { kind: u16, length: u32 },
}

/// Takes frames apart as they come. Holds nothing back but what is not a whole number yet.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Data {
        stream: u32,
        left: usize,
        fin: bool,
    },
    /// A control frame whose first number is still to come.
    Control {
        kind: u16,
        fin: bool,
        length: usize,
    },
    /// The rest of a control frame, which is of no use; then perhaps the end of a stream.
    Skip {
        left: usize,
        ends: Option<u32>,
    },
}

impl Decoder {
    /// The next event in `input`, which shrinks by what was understood. None if that takes more bytes.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Event>, ProtocolError> {
        loop {
            match &mut self.state {
                State::Head => {
                    if input.len() < HEAD_BYTES {
                        return Ok(None);
                    }
                    self.state = head(input)?;
                }
                State::Data {
                    stream,
                    left: 0,
                    fin,
                } => {
                    let (stream, fin) = (*stream, *fin);
                    self.state = State::Head;
                    if fin {
                        return Ok(Some(Event::End { stream }));
                    }
                }
                State::Data { stream, left, .. } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let bytes = input.split_to((*left).min(input.len())).freeze();
                    *left -= bytes.len();
                    let stream = *stream;
                    return Ok(Some(Event::Data { stream, bytes }));
                }
                State::Control { kind, fin, length } => {
                    if input.len() < size_of::<u32>() {
                        return Ok(None);
                    }
                    let id = input.get_u32();
                    let (event, ends) = control(*kind, id, *fin);
                    let left = *length - size_of::<u32>();
                    self.state = State::Skip { left, ends };
                    if event.is_some() {
                        return Ok(event);
                    }
                }
                State::Skip { left, ends } => {
                    let now = (*left).min(input.len());
                    input.advance(now);
                    *left -= now;
                    if *left > 0 {
                        return Ok(None);
                    }
                    let ends = *ends;
                    self.state = State::Head;
                    if let Some(stream) = ends {
                        return Ok(Some(Event::End { stream }));
                    }
                }
            }
        }
    }
}

/// What follows a head.
fn head(input: &mut BytesMut) -> Result<State, ProtocolError> {
    let (first, second) = (input.get_u32(), input.get_u32());
    let fin = second.to_be_bytes()[0] & FIN != 0;
    let length = second & 0x00ff_ffff;
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if first & CONTROL == 0 {
        return Ok(State::Data {
            stream: first,
            left: bytes,
            fin,
        });
    }
    let [high, low, kind @ ..] = (first & !CONTROL).to_be_bytes();
    let (version, kind) = (u16::from_be_bytes([high, low]), u16::from_be_bytes(kind));
    if version != VERSION {
        return Err(ProtocolError::Version(version));
    }
    let counts = matches!(
        kind,
        kind::SYN_STREAM
            | kind::SYN_REPLY
            | kind::RST_STREAM
            | kind::PING
            | kind::GO_AWAY
            | kind::HEADERS
    );
    match (counts, bytes < size_of::<u32>()) {
        (false, _) => Ok(State::Skip {
            left: bytes,
            ends: None,
        }),
        (true, true) => Err(ProtocolError::Short { kind, length }),
        (true, false) => Ok(State::Control {
            kind,
            fin,
            length: bytes,
        }),
    }
}

/// The event of a control frame, and the stream that ends with it.
fn control(kind: u16, id: u32, fin: bool) -> (Option<Event>, Option<u32>) {
    let stream = id & !CONTROL;
    let ends = fin.then_some(stream);
    match kind {
        kind::SYN_STREAM => (Some(Event::Opened { stream }), None),
        kind::SYN_REPLY => (Some(Event::Reply { stream }), ends),
        kind::RST_STREAM => (Some(Event::Reset { stream }), None),
        kind::PING => (Some(Event::Ping { id }), None),
        kind::GO_AWAY => (Some(Event::GoAway), None),
        _ => (None, ends),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spdy::{data_head, ping, refuse};

    fn all(bytes: &[u8], step: usize) -> Result<Vec<Event>, ProtocolError> {
        let mut decoder = Decoder::default();
        let (mut input, mut events) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(step) {
            input.extend_from_slice(piece);
            while let Some(event) = decoder.next(&mut input)? {
                events.push(event);
            }
        }
        Ok(events)
    }

    /// Data that came in pieces as one.
    fn joined(events: Vec<Event>) -> Vec<Event> {
        let mut all: Vec<Event> = Vec::new();
        for event in events {
            match (all.last_mut(), event) {
                (
                    Some(Event::Data { stream, bytes }),
                    Event::Data {
                        stream: next,
                        bytes: more,
                    },
                ) if *stream == next => *bytes = [&bytes[..], &more[..]].concat().into(),
                (_, event) => all.push(event),
            }
        }
        all
    }

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reply with headers, which nobody reads.
        bytes.extend_from_slice(&[0x80, 3, 0, 2, 0, 0, 0, 7, 0, 0, 0, 5, 1, 2, 3]);
        bytes.extend_from_slice(&data_head(5, false, 3));
        bytes.extend_from_slice(b"abc");
        // Settings and an update of a window.
        bytes.extend_from_slice(&[0x80, 3, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0]);
        bytes.extend_from_slice(&[0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 5, 0, 0, 1, 0]);
        bytes.extend_from_slice(&ping(2));
        bytes.extend_from_slice(&data_head(5, true, 0));
        bytes.extend_from_slice(&refuse(7));
        bytes.extend_from_slice(&[0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn frames_are_the_same_in_any_pieces() {
        let expected = vec![
            Event::Reply { stream: 5 },
            Event::Data {
                stream: 5,
                bytes: Bytes::from_static(b"abc"),
            },
            Event::Ping { id: 2 },
            Event::End { stream: 5 },
            Event::Reset { stream: 7 },
            Event::GoAway,
        ];
        let bytes = sample();
        for step in 1..=bytes.len() {
            assert_eq!(joined(all(&bytes, step).unwrap()), expected, "{step}");
        }
    }

    #[test]
    fn a_reply_may_end_its_stream() {
        let bytes = [0x80, 3, 0, 2, FIN, 0, 0, 4, 0, 0, 0, 5];
        let expected = [Event::Reply { stream: 5 }, Event::End { stream: 5 }];
        assert_eq!(all(&bytes, 100).unwrap(), expected);
    }

    #[test]
    fn other_versions_and_cut_frames_are_refused() {
        let version = [0x80, 2, 0, 2, 0, 0, 0, 4, 0, 0, 0, 5];
        assert_eq!(all(&version, 100), Err(ProtocolError::Version(2)));
        let short = [0x80, 3, 0, 6, 0, 0, 0, 3, 0, 0, 0];
        let expected = ProtocolError::Short { kind: 6, length: 3 };
        assert_eq!(all(&short, 100), Err(expected));
    }

    #[test]
    fn garbage_is_an_error_or_events_never_a_panic() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..2_000 {
            let mut bytes = sample();
            for _ in 0..4 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let at = usize::try_from(seed % bytes.len() as u64).unwrap();
                bytes[at] = seed.to_be_bytes()[0];
            }
            let _ = all(&bytes, 7);
        }
    }
}
