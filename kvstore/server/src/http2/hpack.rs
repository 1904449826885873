//! Header compression (RFC 7541): a decoder that classifies a header once, when it enters the dynamic table, and
//! the few fixed header blocks a gRPC server ever sends.
//!
//! A gRPC client repeats the same headers on every call, so after its first call a header block is a handful of
//! table indexes; keeping the classified form in the table makes decoding it a few array look-ups.

use super::head::{Kind, classify};
use super::huffman;
use bytes::Bytes;
use std::collections::VecDeque;
use std::rc::Rc;

/// Table size this side offers (the protocol's default).
const TABLE_BYTES_MAX: usize = 4096;
/// What the protocol charges per table entry besides name and value.
const ENTRY_OVERHEAD: usize = 32;

/// A header block that cannot be decoded; fatal to the connection, whose table is then out of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HpackError {
    /// The block ends inside a field.
    #[error("truncated header block")]
    Truncated,
    /// An integer does not fit.
    #[error("header integer overflow")]
    Overflow,
    /// An index points outside both tables.
    #[error("header index out of range")]
    Index,
    /// A string is not valid Huffman code.
    #[error("invalid huffman string")]
    Huffman,
    /// A table size update above the agreed limit, or not at the start of a block.
    #[error("invalid table size update")]
    TableSize,
    /// The decoded headers exceed the advertised limit.
    #[error("header list too large")]
    ListTooLarge,
}

/// One header field with its meaning.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) kind: Kind,
    name: Bytes,
    pub(super) value: Bytes,
}

impl Field {
    fn new(name: &[u8], value: &[u8]) -> Self {
        let value = Bytes::copy_from_slice(value);
        Self {
            kind: classify(name, &value),
            name: Bytes::copy_from_slice(name),
            value,
        }
    }

    fn size(&self) -> usize {
        self.name.len() + self.value.len() + ENTRY_OVERHEAD
    }
}

/// The receiving side's table.
#[derive(Debug)]
pub(super) struct Decoder {
    table: VecDeque<Rc<Field>>,
    size: usize,
    size_max: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            table: VecDeque::new(),
            size: 0,
            size_max: TABLE_BYTES_MAX,
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Decodes a whole block, calling `sink` for every field in order. `list_max` bounds the decoded size.
    pub(super) fn decode(
        &mut self,
        block: &[u8],
        list_max: usize,
        sink: &mut dyn FnMut(&Field),
    ) -> Result<(), HpackError> {
        let mut input = Input(block);
        let mut list = 0usize;
        let mut fields = 0usize;
        while let Some(first) = input.peek() {
            let field = match first {
                0x80.. => {
                    let index = input.integer(7)?;
                    self.lookup(index)?
                }
                0x40..=0x7f => {
                    let field = Rc::new(self.literal(&mut input, 6)?);
                    self.insert(Rc::clone(&field));
                    field
                }
                0x20..=0x3f => {
                    let size = input.integer(5)?;
                    if fields > 0 || size > TABLE_BYTES_MAX {
                        return Err(HpackError::TableSize);
                    }
                    self.size_max = size;
                    self.evict(0);
                    continue;
                }
                _ => Rc::new(self.literal(&mut input, 4)?),
            };
            fields += 1;
            list += field.size();
            if list > list_max {
                return Err(HpackError::ListTooLarge);
            }
            sink(&field);
        }
        Ok(())
    }

    fn lookup(&self, index: usize) -> Result<Rc<Field>, HpackError> {
        if index == 0 {
            return Err(HpackError::Index);
        }
        if let Some((name, value)) = STATIC.get(index - 1) {
            return Ok(static_field(index - 1, name, value));
        }
        self.table
            .get(index - 1 - STATIC.len())
            .cloned()
            .ok_or(HpackError::Index)
    }

    fn literal(&mut self, input: &mut Input<'_>, prefix: u8) -> Result<Field, HpackError> {
        let index = input.integer(prefix)?;
        self.name.clear();
        self.value.clear();
        if index == 0 {
            input.string(&mut self.name)?;
        } else if let Some((name, _)) = STATIC.get(index - 1) {
            self.name.extend_from_slice(name.as_bytes());
        } else {
            let named = self
                .table
                .get(index - 1 - STATIC.len())
                .ok_or(HpackError::Index)?;
            self.name.extend_from_slice(&named.name);
        }
        input.string(&mut self.value)?;
        Ok(Field::new(&self.name, &self.value))
    }

    fn insert(&mut self, field: Rc<Field>) {
        let size = field.size();
        self.evict(size);
        if size <= self.size_max {
            self.size += size;
            self.table.push_front(field);
        }
    }

    fn evict(&mut self, incoming: usize) {
        while self.size + incoming > self.size_max {
            let Some(old) = self.table.pop_back() else {
                break;
            };
            self.size -= old.size();
        }
    }
}

fn static_field(index: usize, name: &'static str, value: &'static str) -> Rc<Field> {
    thread_local! {
        static FIELDS: std::cell::RefCell<Vec<Option<Rc<Field>>>> =
            std::cell::RefCell::new(vec![None; STATIC.len()]);
    }
    FIELDS.with_borrow_mut(|fields| {
        let slot = &mut fields[index];
        let field =
            slot.get_or_insert_with(|| Rc::new(Field::new(name.as_bytes(), value.as_bytes())));
        Rc::clone(field)
    })
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn byte(&mut self) -> Result<u8, HpackError> {
        let (first, rest) = self.0.split_first().ok_or(HpackError::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    fn integer(&mut self, prefix: u8) -> Result<usize, HpackError> {
        let mask = (1usize << prefix) - 1;
        let first = self.byte()? as usize & mask;
        if first < mask {
            return Ok(first);
        }
        let mut value = mask;
        // Four continuation bytes reach 2^28, far above any index or string this side accepts.
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()? as usize;
            value += (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(HpackError::Overflow)
    }

    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), HpackError> {
        let huffman = self.peek().ok_or(HpackError::Truncated)? & 0x80 != 0;
        let len = self.integer(7)?;
        if len > self.0.len() {
            return Err(HpackError::Truncated);
        }
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        if huffman {
            huffman::decode(text, out)
        } else {
            out.extend_from_slice(text);
            Ok(())
        }
    }
}

/// The sending side: two headers every answer carries live in the peer's dynamic table, all others are literals.
#[derive(Debug)]
pub(super) struct Encoder {
    /// Entries inserted so far, newest last.
    inserted: [Option<Repeated>; 2],
    enabled: bool,
    /// The peer shrank its table: the next block must say so.
    shrink: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeated {
    ContentType,
    StatusOk,
}

impl Repeated {
    fn literal(self) -> &'static [u8] {
        match self {
            // Literal with incremental indexing, static name 31.
            Self::ContentType => b"\x5f\x10application/grpc",
            Self::StatusOk => b"\x40\x0bgrpc-status\x010",
        }
    }
}

/// Index of the newest dynamic entry.
const NEWEST: u8 = 62;

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            inserted: [None; 2],
            enabled: true,
            shrink: false,
        }
    }

    /// The peer announced its table size.
    pub(super) fn table_size(&mut self, size: u32) {
        if (size as usize) < TABLE_BYTES_MAX && self.enabled {
            self.enabled = false;
            self.shrink = true;
            self.inserted = [None; 2];
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.shrink) {
            out.push(0x20);
        }
    }

    /// `:status: 200` and `content-type: application/grpc`.
    pub(super) fn grpc_head(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        out.push(0x88);
        self.repeated(Repeated::ContentType, out);
    }

    /// `grpc-status: 0`.
    pub(super) fn grpc_ok(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.repeated(Repeated::StatusOk, out);
    }

    /// `grpc-status` and `grpc-message` (already percent-encoded) of an error.
    pub(super) fn grpc_error(&mut self, code: i32, message: &str, out: &mut Vec<u8>) {
        self.begin(out);
        literal(b"grpc-status", code.to_string().as_bytes(), out);
        if !message.is_empty() {
            literal(b"grpc-message", message.as_bytes(), out);
        }
    }

    /// `:status` and any headers of an ordinary HTTP answer.
    pub(super) fn http_head(&mut self, status: u16, headers: &[(&str, &str)], out: &mut Vec<u8>) {
        self.begin(out);
        literal(b":status", status.to_string().as_bytes(), out);
        for (name, value) in headers {
            literal(name.as_bytes(), value.as_bytes(), out);
        }
    }

    fn repeated(&mut self, field: Repeated, out: &mut Vec<u8>) {
        if !self.enabled {
            let text = field.literal();
            // The same field without indexing: only the prefix differs.
            match field {
                Repeated::ContentType => out.extend_from_slice(b"\x0f\x10"),
                Repeated::StatusOk => out.push(0x00),
            }
            out.extend_from_slice(&text[1..]);
            return;
        }
        match self.inserted {
            [Some(oldest), newer] if oldest == field => {
                out.push(NEWEST + u8::from(newer.is_some()));
            }
            [_, Some(newest)] if newest == field => out.push(NEWEST),
            _ => {
                out.extend_from_slice(field.literal());
                let free = usize::from(self.inserted[0].is_some());
                self.inserted[free] = Some(field);
                return;
            }
        }
        // Turn the index just written into an indexed header field.
        if let Some(last) = out.last_mut() {
            *last |= 0x80;
        }
    }
}

fn literal(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(0);
    string(name, out);
    string(value, out);
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    let mut len = text.len();
    if len < 0x7f {
        out.push(len as u8);
    } else {
        out.push(0x7f);
        len -= 0x7f;
        while len >= 0x80 {
            out.push(len as u8 | 0x80);
            len >>= 7;
        }
        out.push(len as u8);
    }
    out.extend_from_slice(text);
}

#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, HpackError> {
        let mut fields = Vec::new();
        decoder.decode(block, 1 << 16, &mut |f| {
            fields.push((
                String::from_utf8_lossy(&f.name).into_owned(),
                String::from_utf8_lossy(&f.value).into_owned(),
            ));
        })?;
        Ok(fields)
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn requests_of_the_standard_with_huffman() {
        // RFC 7541 appendix C.4.
        let mut d = Decoder::new();
        let first = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let fields = decode(&mut d, first).unwrap();
        assert_eq!(fields[3], pair(":authority", "www.example.com"));
        let second = b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf";
        let fields = decode(&mut d, second).unwrap();
        assert_eq!(fields[3], pair(":authority", "www.example.com"));
        assert_eq!(fields[4], pair("cache-control", "no-cache"));
        assert_eq!(d.size, 110);
    }

    #[test]
    fn what_the_encoder_writes_decodes() {
        let mut e = Encoder::new();
        let mut d = Decoder::new();
        for round in 0..3 {
            let mut head = Vec::new();
            e.grpc_head(&mut head);
            let fields = decode(&mut d, &head).unwrap();
            assert_eq!(
                fields,
                [
                    pair(":status", "200"),
                    pair("content-type", "application/grpc")
                ]
            );
            let mut trailers = Vec::new();
            e.grpc_ok(&mut trailers);
            assert_eq!(
                decode(&mut d, &trailers).unwrap(),
                [pair("grpc-status", "0")]
            );
            if round > 0 {
                assert_eq!((head.len(), trailers.len()), (2, 1));
            }
            let mut error = Vec::new();
            e.grpc_error(5, &"x".repeat(300), &mut error);
            let fields = decode(&mut d, &error).unwrap();
            assert_eq!(fields[1].1.len(), 300);
        }
    }

    #[test]
    fn order_of_insertion_does_not_matter() {
        let mut e = Encoder::new();
        let mut d = Decoder::new();
        let mut block = Vec::new();
        e.grpc_ok(&mut block);
        e.grpc_head(&mut block);
        e.grpc_ok(&mut block);
        e.grpc_head(&mut block);
        let fields = decode(&mut d, &block).unwrap();
        let names: Vec<&str> = fields.iter().map(|(n, _)| n.as_str()).collect();
        let once = ["grpc-status", ":status", "content-type"];
        assert_eq!(names, [once, once].concat());
    }

    #[test]
    fn a_small_peer_table_is_respected() {
        let mut e = Encoder::new();
        e.table_size(0);
        let mut d = Decoder::new();
        let mut block = Vec::new();
        e.grpc_head(&mut block);
        e.grpc_ok(&mut block);
        assert_eq!(block[0], 0x20);
        let fields = decode(&mut d, &block).unwrap();
        assert_eq!(fields.len(), 3);
        assert_eq!(fields[1], pair("content-type", "application/grpc"));
        assert!(d.table.is_empty());
    }

    #[test]
    fn damage_is_an_error_not_a_panic() {
        let mut d = Decoder::new();
        assert_eq!(decode(&mut d, &[0x80]), Err(HpackError::Index));
        assert_eq!(
            decode(&mut d, &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            Err(HpackError::Overflow)
        );
        assert_eq!(decode(&mut d, &[0xbe]), Err(HpackError::Index));
        assert_eq!(
            decode(&mut d, &[0x40, 0x05, b'a']),
            Err(HpackError::Truncated)
        );
        assert_eq!(
            decode(&mut d, &[0x3f, 0xff, 0x7f]),
            Err(HpackError::TableSize)
        );
        for len in 0..64 {
            let noise: Vec<u8> = (0..len).map(|i| (i * 37 + len * 11) as u8).collect();
            let _ = decode(&mut Decoder::new(), &noise);
        }
    }

    #[test]
    fn the_table_never_exceeds_its_limit() {
        let mut d = Decoder::new();
        for i in 0..1000 {
            let mut block = vec![0x40];
            string(format!("name-{i}").as_bytes(), &mut block);
            string(&[b'v'; 100], &mut block);
            decode(&mut d, &block).unwrap();
            assert!(d.size <= TABLE_BYTES_MAX);
        }
        let mut block = vec![0x40];
        string(b"big", &mut block);
        string(&[b'v'; 5000], &mut block);
        decode(&mut d, &block).unwrap();
        assert!(d.table.is_empty());
    }
}
