//! Frames that a client sends.

use bytes::{BufMut, Bytes, BytesMut};

use super::{CONTROL, FIN, HEAD_BYTES, LENGTH_MAX, VERSION, kind};

/// Checksum of the dictionary that SPDY/3 compresses headers with.
const DICTIONARY_SUM: u32 = 0xe3c6_a7c2;
/// A stored block may be this long.
const STORED_BYTES_MAX: usize = 0xffff;
/// The status of a stream that is not wanted.
const REFUSED: u32 = 3;

/// The headers of all streams of a connection, which SPDY compresses as one.
///
/// Nothing is compressed really: zlib has stored blocks. An empty one follows each, as decoders take it for the sign
/// that what came is whole.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    begun: bool,
}

impl Headers {
    /// The block of one stream. Names must be in small letters.
    fn block(&mut self, pairs: &[(&str, &str)]) -> BytesMut {
        let mut plain = BytesMut::new();
        let count = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
        plain.put_u32(u32::try_from(pairs.len()).unwrap_or(u32::MAX));
        for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(count(text));
            plain.put_slice(text.as_bytes());
        }
        let mut block = BytesMut::new();
        if !self.begun {
            self.begun = true;
            // Deflate with a window of 32 KiB, and a dictionary.
            block.put_slice(&[0x78, 0xbb]);
            block.put_u32(DICTIONARY_SUM);
        }
        for piece in plain.chunks(STORED_BYTES_MAX) {
            stored(&mut block, piece);
        }
        stored(&mut block, &[]);
        block
    }
}

fn stored(block: &mut BytesMut, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    block.put_u8(0);
    block.put_u16_le(length);
    block.put_u16_le(!length);
    block.put_slice(bytes);
}

/// Opens a stream.
pub(crate) fn open(headers: &mut Headers, stream: u32, pairs: &[(&str, &str)]) -> Bytes {
    let block = headers.block(pairs);
    let mut body = BytesMut::with_capacity(block.len() + 10);
    body.put_u32(stream);
    // No stream that it belongs to, the highest priority, no slot.
    body.put_u32(0);
    body.put_u16(0);
    body.put_slice(&block);
    control(kind::SYN_STREAM, 0, &body)
}

/// The head of a data frame, with the end of the stream or without. `length` must be within what a head has room for.
pub(crate) fn data_head(stream: u32, fin: bool, length: usize) -> [u8; HEAD_BYTES] {
    debug_assert!(length <= LENGTH_MAX);
    let flags = if fin { FIN } else { 0 };
    let length = u32::try_from(length.min(LENGTH_MAX)).unwrap_or_default();
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&(stream & !CONTROL).to_be_bytes());
    head[4..].copy_from_slice(&((u32::from(flags) << 24) | length).to_be_bytes());
    head
}

/// A sign of life, or the answer to one.
pub(crate) fn ping(id: u32) -> Bytes {
    control(kind::PING, 0, &id.to_be_bytes())
}

/// Refuses a stream that the server wants.
pub(crate) fn refuse(stream: u32) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u32(stream & !CONTROL);
    body.put_u32(REFUSED);
    control(kind::RST_STREAM, 0, &body)
}

fn control(kind: u16, flags: u8, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + body.len());
    frame.put_u32(CONTROL | (u32::from(VERSION) << 16) | u32::from(kind));
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX) & 0x00ff_ffff;
    frame.put_u32((u32::from(flags) << 24) | length);
    frame.put_slice(body);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a decoder makes of stored blocks: their bytes, and how many blocks were empty.
    fn inflate(mut block: &[u8]) -> (Vec<u8>, usize) {
        let (mut plain, mut empty) = (Vec::new(), 0);
        while let [0, a, b, c, d, rest @ ..] = block {
            let length = u16::from_le_bytes([*a, *b]);
            assert_eq!(!length, u16::from_le_bytes([*c, *d]));
            let (bytes, rest) = rest.split_at(usize::from(length));
            plain.extend_from_slice(bytes);
            empty += usize::from(bytes.is_empty());
            block = rest;
        }
        assert!(block.is_empty(), "{block:?}");
        (plain, empty)
    }

    #[test]
    fn headers_are_one_zlib_stream_for_all_streams() {
        let mut headers = Headers::default();
        let pairs = [("streamtype", "stdin")];
        let plain = b"\0\0\0\x01\0\0\0\x0astreamtype\0\0\0\x05stdin";
        let first = headers.block(&pairs);
        assert_eq!(first[..6], [0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2]);
        // The check of zlib's own two first bytes.
        assert_eq!((u32::from(first[0]) * 256 + u32::from(first[1])) % 31, 0);
        assert_eq!(inflate(&first[6..]), (plain.to_vec(), 1));
        let second = headers.block(&pairs);
        assert_eq!(inflate(&second), (plain.to_vec(), 1));
    }

    #[test]
    fn long_headers_take_more_than_one_block() {
        let value = "x".repeat(STORED_BYTES_MAX + 5);
        let block = Headers::default().block(&[("a", &value)]);
        let (plain, empty) = inflate(&block[6..]);
        assert!(plain.ends_with(value.as_bytes()));
        assert_eq!(empty, 1);
    }

    #[test]
    fn frames_have_the_shape_of_the_specification() {
        assert_eq!(data_head(3, true, 258), [0, 0, 0, 3, 1, 0, 1, 2]);
        assert_eq!(ping(1)[..], [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]);
        let frame = open(&mut Headers::default(), 1, &[]);
        assert_eq!(frame[..8], [0x80, 3, 0, 1, 0, 0, 0, 30]);
        assert_eq!(frame[8..18], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(frame.len(), 8 + 30);
    }
}
