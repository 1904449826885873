//! Header compression (RFC 7541), as much as a gRPC client needs: requests are encoded with a fixed
//! set of headers that become one-byte indexes after the first request, responses are decoded in
//! full (static table, dynamic table, Huffman) because one missed insertion corrupts all that follows.

mod decode;
mod encode;
mod huffman;
mod huffman_codes;
mod static_table;
#[cfg(test)]
mod tests;

pub(crate) use decode::{Block, Decoder};
pub(crate) use encode::Encoder;

/// Why a header block could not be decoded. Any of these ends the connection.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub(crate) enum HpackError {
    #[error("header block ends inside a field")]
    Truncated,
    #[error("integer too large")]
    Integer,
    #[error("invalid huffman string")]
    Huffman,
    #[error("index {0} is in neither table")]
    Index(usize),
    #[error("dynamic table size above the agreed maximum")]
    TableSize,
}

/// The size of the dynamic table before any SETTINGS, in octets as section 4.1 counts them.
pub(crate) const TABLE_SIZE_DEFAULT: usize = 4096;
/// What section 4.1 adds to every entry of the dynamic table.
const ENTRY_OVERHEAD: usize = 32;
