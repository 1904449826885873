//! The decoder: keeps the dynamic table and picks out what a gRPC client looks at.

use std::collections::VecDeque;

use super::static_table::STATIC;
use super::{ENTRY_OVERHEAD, HpackError, TABLE_SIZE_DEFAULT, huffman};

/// What one header block said; the other headers are read and dropped.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// `:status`.
    pub(crate) http_status: Option<u16>,
    /// `grpc-status`; a value that is no number counts as 2 (unknown), as gRPC asks.
    pub(crate) grpc_status: Option<u32>,
    /// `grpc-message`, only kept when it is not empty.
    pub(crate) grpc_message: Option<String>,
}

/// An entry of the dynamic table with its meaning worked out once, when it is inserted.
#[derive(Debug, Clone)]
struct Entry {
    name: Box<[u8]>,
    value: Box<[u8]>,
    meaning: Meaning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    HttpStatus(u16),
    GrpcStatus(u32),
    GrpcMessage(String),
    Other,
}

impl Meaning {
    fn of(name: &[u8], value: &[u8]) -> Self {
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b":status" => Self::HttpStatus(text().parse().unwrap_or(0)),
            b"grpc-status" => Self::GrpcStatus(text().parse().unwrap_or(2)),
            b"grpc-message" if !value.is_empty() => Self::GrpcMessage(text()),
            _ => Self::Other,
        }
    }

    fn note(&self, block: &mut Block) {
        match self {
            Self::HttpStatus(code) => block.http_status = Some(*code),
            Self::GrpcStatus(code) => block.grpc_status = Some(*code),
            Self::GrpcMessage(text) => block.grpc_message = Some(text.clone()),
            Self::Other => {}
        }
    }
}

/// State of one connection's receiving side.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// Newest entry first, as the indexes count.
    table: VecDeque<Entry>,
    size: usize,
    size_max: usize,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            table: VecDeque::new(),
            size: 0,
            size_max: TABLE_SIZE_DEFAULT,
        }
    }

    /// Decodes one complete header block.
    ///
    /// # Errors
    /// See `HpackError`; the decoder must not be used afterwards.
    pub(crate) fn decode(&mut self, mut input: &[u8]) -> Result<Block, HpackError> {
        let mut block = Block::default();
        while let Some(&first) = input.first() {
            if first & 0x80 != 0 {
                let index = integer(&mut input, 7)?;
                self.note_indexed(index, &mut block)?;
            } else if first & 0x40 != 0 {
                let (name, value) = self.literal(&mut input, 6)?;
                let meaning = Meaning::of(&name, &value);
                meaning.note(&mut block);
                self.insert(Entry {
                    name: name.into(),
                    value: value.into(),
                    meaning,
                });
            } else if first & 0x20 != 0 {
                let size = integer(&mut input, 5)?;
                if size > TABLE_SIZE_DEFAULT {
                    return Err(HpackError::TableSize);
                }
                self.size_max = size;
                self.evict(0);
            } else {
                let (name, value) = self.literal(&mut input, 4)?;
                Meaning::of(&name, &value).note(&mut block);
            }
        }
        Ok(block)
    }

    fn note_indexed(&self, index: usize, block: &mut Block) -> Result<(), HpackError> {
        match index {
            0 => Err(HpackError::Index(0)),
            8..=14 => {
                let value = STATIC[index - 1].1.as_bytes();
                Meaning::of(b":status", value).note(block);
                Ok(())
            }
            1..=61 => Ok(()),
            _ => {
                let entry = self.table.get(index - STATIC.len() - 1);
                entry.ok_or(HpackError::Index(index))?.meaning.note(block);
                Ok(())
            }
        }
    }

    /// Reads a literal whose name is an index of `prefix` bits, or a string if that index is 0.
    fn literal(&self, input: &mut &[u8], prefix: u32) -> Result<(Vec<u8>, Vec<u8>), HpackError> {
        let index = integer(input, prefix)?;
        let name = match index {
            0 => string(input)?,
            1..=61 => STATIC[index - 1].0.as_bytes().to_vec(),
            _ => {
                let entry = self.table.get(index - STATIC.len() - 1);
                entry.ok_or(HpackError::Index(index))?.name.to_vec()
            }
        };
        Ok((name, string(input)?))
    }

    fn insert(&mut self, entry: Entry) {
        let size = entry.name.len() + entry.value.len() + ENTRY_OVERHEAD;
        self.evict(size);
        // An entry larger than the table empties it and is not kept (section 4.4).
        if size <= self.size_max {
            self.size += size;
            self.table.push_front(entry);
        }
    }

    /// Drops the oldest entries until `incoming` more octets fit.
    fn evict(&mut self, incoming: usize) {
        while self.size + incoming > self.size_max {
            let Some(old) = self.table.pop_back() else {
                return;
            };
            self.size -= old.name.len() + old.value.len() + ENTRY_OVERHEAD;
        }
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> Vec<(String, String)> {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        self.table
            .iter()
            .map(|e| (text(&e.name), text(&e.value)))
            .collect()
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    #[cfg(test)]
    pub(super) fn limit(&mut self, size_max: usize) {
        self.size_max = size_max;
        self.evict(0);
    }
}

/// An integer with a prefix of `prefix` bits (section 5.1); at most 28 more bits are accepted.
pub(super) fn integer(input: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
    let (&first, mut rest) = input.split_first().ok_or(HpackError::Truncated)?;
    let mask = (1usize << prefix) - 1;
    let mut value = usize::from(first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (&octet, tail) = rest.split_first().ok_or(HpackError::Truncated)?;
            rest = tail;
            value += usize::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 21 {
                return Err(HpackError::Integer);
            }
        }
    }
    *input = rest;
    Ok(value)
}

fn string(input: &mut &[u8]) -> Result<Vec<u8>, HpackError> {
    let coded = *input.first().ok_or(HpackError::Truncated)? & 0x80 != 0;
    let len = integer(input, 7)?;
    if input.len() < len {
        return Err(HpackError::Truncated);
    }
    let (bytes, rest) = input.split_at(len);
    *input = rest;
    if !coded {
        return Ok(bytes.to_vec());
    }
    let mut out = Vec::with_capacity(len * 2);
    huffman::decode(bytes, &mut out)?;
    Ok(out)
}
