//! The encoder of gRPC request headers.
//!
//! Everything but the path is the same for every request of a connection, and few paths are used, so
//! all of them enter the dynamic table once and are one octet each from then on.

use super::{ENTRY_OVERHEAD, TABLE_SIZE_DEFAULT};

const METHOD_POST: u8 = 0x80 | 3;
const SCHEME_HTTP: u8 = 0x80 | 6;
const NAME_AUTHORITY: u8 = 1;
const NAME_PATH: u8 = 4;
const NAME_CONTENT_TYPE: u8 = 31;
const INCREMENTAL: u8 = 0x40;
const STATIC_LEN: usize = 61;
/// What the encoder inserts must always fit; then nothing is evicted and the indexes are simple.
const INSERTED_MAX: usize = 3072;

/// State of one connection's sending side.
#[derive(Debug)]
pub(crate) struct Encoder {
    authority: Box<str>,
    /// The paths that were inserted, each with its number in the order of insertion.
    paths: Vec<(&'static str, usize)>,
    inserted: usize,
    inserted_octets: usize,
    /// The server allows no table of the usual size: then everything is a literal.
    literal_only: bool,
    announce_zero: bool,
}

impl Encoder {
    pub(crate) fn new(authority: &str) -> Self {
        Self {
            authority: authority.into(),
            paths: Vec::new(),
            inserted: 0,
            inserted_octets: 0,
            literal_only: false,
            announce_zero: false,
        }
    }

    /// Takes over the server's SETTINGS_HEADER_TABLE_SIZE.
    pub(crate) fn set_table_size(&mut self, octets: usize) {
        if octets < TABLE_SIZE_DEFAULT && !self.literal_only {
            self.literal_only = true;
            self.announce_zero = true;
            self.paths.clear();
            self.inserted = 0;
        }
    }

    /// Appends the header block of a request to `path`.
    pub(crate) fn encode(&mut self, path: &'static str, out: &mut Vec<u8>) {
        if self.announce_zero {
            out.push(0x20);
            self.announce_zero = false;
        }
        out.extend_from_slice(&[METHOD_POST, SCHEME_HTTP]);
        if self.literal_only {
            return self.encode_literals(path, out);
        }
        if let Some(&(_, number)) = self.paths.iter().find(|(known, _)| *known == path) {
            out.push(self.index(number));
        } else {
            self.path(path, out);
        }
        if self.inserted < 4 {
            self.common(out);
        } else {
            // Insertion order: path, authority, content-type, te, then further paths.
            out.extend_from_slice(&[self.index(1), self.index(2), self.index(3)]);
        }
    }

    fn path(&mut self, path: &'static str, out: &mut Vec<u8>) {
        let octets = path.len() + ":path".len() + ENTRY_OVERHEAD;
        if self.inserted_octets + octets > INSERTED_MAX {
            out.push(NAME_PATH); // literal without indexing
            string(path, out);
            return;
        }
        out.push(INCREMENTAL | NAME_PATH);
        string(path, out);
        self.paths.push((path, self.inserted));
        self.inserted += 1;
        self.inserted_octets += octets;
    }

    fn common(&mut self, out: &mut Vec<u8>) {
        out.push(INCREMENTAL | NAME_AUTHORITY);
        string(&self.authority, out);
        out.push(INCREMENTAL | NAME_CONTENT_TYPE);
        string("application/grpc", out);
        out.push(INCREMENTAL);
        string("te", out);
        string("trailers", out);
        self.inserted += 3;
        let text = ":authoritycontent-typeapplication/grpctetrailers".len();
        self.inserted_octets += text + self.authority.len() + 3 * ENTRY_OVERHEAD;
    }

    fn encode_literals(&self, path: &str, out: &mut Vec<u8>) {
        out.push(NAME_PATH);
        string(path, out);
        out.push(NAME_AUTHORITY);
        string(&self.authority, out);
        out.extend_from_slice(&[0x0f, NAME_CONTENT_TYPE - 15]);
        string("application/grpc", out);
        out.push(0);
        string("te", out);
        string("trailers", out);
    }

    /// The one-octet form of an entry of the dynamic table, by its number in insertion order.
    fn index(&self, number: usize) -> u8 {
        let index = STATIC_LEN + self.inserted - number;
        debug_assert!(
            index < 0x7f,
            "indexes stay in one octet while few paths are used"
        );
        0x80 | index as u8
    }
}

/// A string without Huffman coding; all of ours are shorter than 127 octets.
fn string(text: &str, out: &mut Vec<u8>) {
    let len = text.len().min(126);
    out.push(len as u8);
    out.extend_from_slice(&text.as_bytes()[..len]);
}
