//! The protobuf wire format: writing fields, and reading them from bytes that nobody vouches for.

use thiserror::Error;

pub(crate) const VARINT: u8 = 0;
pub(crate) const FIXED64: u8 = 1;
pub(crate) const LENGTH: u8 = 2;
pub(crate) const FIXED32: u8 = 5;

/// A varint of 64 bits has at most this many bytes.
const VARINT_BYTES_MAX: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum WireError {
    #[error("unexpected end of input")]
    Truncated,
    #[error("a number has more than 64 bits")]
    Overflow,
    #[error("field number 0 is not allowed")]
    NumberZero,
    #[error("wire type {0} is not supported")]
    Layout(u8),
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, layout: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(layout));
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, LENGTH);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A field whose contents `write` appends; its length is put before them when it is known.
pub(crate) fn put_message<R>(
    out: &mut Vec<u8>,
    number: u32,
    write: impl FnOnce(&mut Vec<u8>) -> R,
) -> R {
    put_tag(out, number, LENGTH);
    let start = out.len();
    // One byte for the length is right for most messages; longer ones move their contents.
    out.push(0);
    let result = write(out);
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
    } else {
        let mut prefix = Vec::with_capacity(VARINT_BYTES_MAX);
        put_varint(&mut prefix, length as u64);
        out.splice(start..=start, prefix);
    }
    result
}

/// One field as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// Reads the fields of a message one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field, or `None` at the end.
    pub(crate) fn field(&mut self) -> Result<Option<(u32, Raw<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| WireError::Overflow)?;
        if number == 0 {
            return Err(WireError::NumberZero);
        }
        let raw = match (tag & 7) as u8 {
            VARINT => Raw::Varint(self.varint()?),
            FIXED64 => Raw::Fixed64(self.fixed()?),
            LENGTH => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
                let (bytes, rest) = self
                    .rest
                    .split_at_checked(length)
                    .ok_or(WireError::Truncated)?;
                self.rest = rest;
                Raw::Bytes(bytes)
            }
            FIXED32 => Raw::Fixed32(self.fixed()?),
            other => return Err(WireError::Layout(other)),
        };
        Ok(Some((number, raw)))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (byte, index) in self.rest.iter().zip(0..VARINT_BYTES_MAX) {
            let bits = u64::from(byte & 0x7f);
            if index == VARINT_BYTES_MAX - 1 && bits > 1 {
                return Err(WireError::Overflow);
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        let long = self.rest.len() >= VARINT_BYTES_MAX;
        Err(if long {
            WireError::Overflow
        } else {
            WireError::Truncated
        })
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        put_tag(&mut out, 1, VARINT);
        put_varint(&mut out, u64::MAX);
        put_message(&mut out, 2, |out| put_bytes(out, 3, &[7; 300]));
        let mut reader = Reader::new(&out);
        assert_eq!(reader.field(), Ok(Some((1, Raw::Varint(u64::MAX)))));
        let Ok(Some((2, Raw::Bytes(inner)))) = reader.field() else {
            panic!("a message")
        };
        assert_eq!(
            Reader::new(inner).field(),
            Ok(Some((3, Raw::Bytes(&[7; 300]))))
        );
        assert_eq!(reader.field(), Ok(None));
    }

    #[test]
    fn broken_input_is_an_error() {
        let cases: [(&[u8], WireError); 7] = [
            (&[0x08], WireError::Truncated),
            (&[0x08, 0x80], WireError::Truncated),
            (
                &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
                WireError::Overflow,
            ),
            (&[0x0a, 5, 1, 2], WireError::Truncated),
            (&[0x00, 1], WireError::NumberZero),
            (&[0x0b], WireError::Layout(3)),
            (&[0x0d, 1, 2, 3], WireError::Truncated),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Reader::new(bytes).field(), Err(expected), "{bytes:?}");
        }
    }
}
