//! HTTP/2 frames (RFC 9113): a parser that works in place and writers that append to a buffer.

use crate::limits::FRAME_BYTES_MAX;

pub(crate) const HEADER_LEN: usize = 9;
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const FLAG_END_STREAM: u8 = 1;
pub(crate) const FLAG_ACK: u8 = 1;
pub(crate) const FLAG_END_HEADERS: u8 = 4;
pub(crate) const FLAG_PADDED: u8 = 8;
pub(crate) const FLAG_PRIORITY: u8 = 0x20;

pub(crate) const SETTING_HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const SETTING_ENABLE_PUSH: u16 = 2;
pub(crate) const SETTING_MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const SETTING_INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const SETTING_MAX_FRAME_SIZE: u16 = 5;

/// What a server did against the protocol. Any of these ends the connection.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum FrameError {
    #[error("frame of {0} octets, allowed are {FRAME_BYTES_MAX}")]
    TooLarge(usize),
    #[error("padding longer than the frame")]
    Padding,
    #[error("{0} frame of wrong length")]
    Length(&'static str),
}

/// One frame; the payload still lies in the read buffer.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the start of `input`, or None if it is not complete yet.
    ///
    /// # Errors
    /// `FrameError::TooLarge`.
    #[inline]
    pub(crate) fn parse(input: &'a [u8]) -> Result<Option<Self>, FrameError> {
        let Some((head, rest)) = input.split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if len > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge(len));
        }
        let Some(payload) = rest.get(..len) else {
            return Ok(None);
        };
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Ok(Some(Self {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        }))
    }

    /// Length of the whole frame in octets.
    pub(crate) fn len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload of a DATA or HEADERS frame without padding and priority.
    ///
    /// # Errors
    /// `FrameError::Padding` if these are longer than the frame.
    pub(crate) fn content(&self) -> Result<&'a [u8], FrameError> {
        let mut content = self.payload;
        if self.has(FLAG_PADDED) {
            let (&pad, rest) = content.split_first().ok_or(FrameError::Padding)?;
            let len = rest
                .len()
                .checked_sub(usize::from(pad))
                .ok_or(FrameError::Padding)?;
            content = &rest[..len];
        }
        if self.kind == HEADERS && self.has(FLAG_PRIORITY) {
            content = content.get(5..).ok_or(FrameError::Padding)?;
        }
        Ok(content)
    }

    /// The payload as one 32-bit number (RST_STREAM, WINDOW_UPDATE).
    ///
    /// # Errors
    /// `FrameError::Length`.
    pub(crate) fn number(&self, name: &'static str) -> Result<u32, FrameError> {
        let octets = self
            .payload
            .try_into()
            .map_err(|_| FrameError::Length(name))?;
        Ok(u32::from_be_bytes(octets))
    }
}

/// Appends a frame header.
#[inline]
pub(crate) fn put_header(out: &mut Vec<u8>, len: usize, kind: u8, flags: u8, stream: u32) {
    let [_, a, b, c] = (len as u32).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, d, e, f, g]);
}

/// Appends a SETTINGS frame.
pub(crate) fn put_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    put_header(out, settings.len() * 6, SETTINGS, 0, 0);
    for (id, value) in settings {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(crate) fn put_settings_ack(out: &mut Vec<u8>) {
    put_header(out, 0, SETTINGS, FLAG_ACK, 0);
}

pub(crate) fn put_ping_ack(out: &mut Vec<u8>, payload: &[u8]) {
    put_header(out, payload.len(), PING, FLAG_ACK, 0);
    out.extend_from_slice(payload);
}

pub(crate) fn put_window_update(out: &mut Vec<u8>, stream: u32, octets: u32) {
    put_header(out, 4, WINDOW_UPDATE, 0, stream);
    out.extend_from_slice(&octets.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_and_partial_frames() {
        let mut bytes = Vec::new();
        put_window_update(&mut bytes, 5, 77);
        let len = bytes.len();
        put_ping_ack(&mut bytes, b"12345678");
        for cut in 0..len {
            assert_eq!(Frame::parse(&bytes[..cut]), Ok(None));
        }
        let first = Frame::parse(&bytes).unwrap().unwrap();
        assert_eq!(
            (first.kind, first.stream, first.len()),
            (WINDOW_UPDATE, 5, len)
        );
        assert_eq!(first.number("window"), Ok(77));
        let second = Frame::parse(&bytes[len..]).unwrap().unwrap();
        assert!(second.has(FLAG_ACK));
        assert_eq!(second.payload, b"12345678");
        assert_eq!(second.number("ping"), Err(FrameError::Length("ping")));
    }

    #[test]
    fn oversize_is_refused_before_it_arrived() {
        let mut bytes = Vec::new();
        put_header(&mut bytes, FRAME_BYTES_MAX + 1, DATA, 0, 1);
        assert_eq!(
            Frame::parse(&bytes),
            Err(FrameError::TooLarge(FRAME_BYTES_MAX + 1))
        );
    }

    #[test]
    fn padding_and_priority_are_cut_off() {
        let frame = |kind, flags, payload| Frame {
            kind,
            flags,
            stream: 1,
            payload,
        };
        let padded = frame(DATA, FLAG_PADDED, &[2, b'a', b'b', 0, 0]);
        assert_eq!(padded.content(), Ok(&b"ab"[..]));
        let both = frame(
            HEADERS,
            FLAG_PADDED | FLAG_PRIORITY,
            &[1, 0, 0, 0, 0, 9, 0x88, 0],
        );
        assert_eq!(both.content(), Ok(&[0x88][..]));
        assert_eq!(
            frame(DATA, FLAG_PADDED, &[3, 0, 0]).content(),
            Err(FrameError::Padding)
        );
        assert_eq!(
            frame(DATA, FLAG_PADDED, &[]).content(),
            Err(FrameError::Padding)
        );
        assert_eq!(
            frame(HEADERS, FLAG_PRIORITY, &[0]).content(),
            Err(FrameError::Padding)
        );
    }

    #[test]
    fn reserved_bit_is_ignored() {
        let bytes = [0, 0, 0, DATA, 0, 0x80, 0, 0, 3];
        assert_eq!(Frame::parse(&bytes).unwrap().unwrap().stream, 3);
    }
}
