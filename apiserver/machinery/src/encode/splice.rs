//! The resource version, put into stored bytes.

use bytes::Bytes;

const METADATA: &[u8] = b"\"metadata\":{";
/// `{"kind":"…","apiVersion":"…",` is shorter than this for every kind.
const HEAD_BYTES_MAX: usize = 512;

/// An object to be served: stored bytes around its resource version. Nothing stored is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spliced {
    /// Up to and including `"metadata":{`.
    pub head: Bytes,
    /// `"resourceVersion":"7",`, without the comma where the metadata is empty.
    pub version: Bytes,
    /// The rest.
    pub tail: Bytes,
}

impl Spliced {
    /// All bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.version.len() + self.tail.len()
    }

    /// Never: an object has bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the object.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.len());
        out.extend_from_slice(&self.head);
        out.extend_from_slice(&self.version);
        out.extend_from_slice(&self.tail);
    }
}

/// Where the metadata's entries begin; None for bytes that [`super::canonical`] did not make. Kinds and versions hold no
/// quotes, so the first match is the object's own metadata.
pub(super) fn metadata_offset(stored: &[u8]) -> Option<usize> {
    let head = &stored[..stored.len().min(HEAD_BYTES_MAX)];
    let at = head
        .windows(METADATA.len())
        .position(|window| window == METADATA)?;
    Some(at + METADATA.len())
}

/// Whether these are bytes that [`super::canonical`] made: they can be spliced.
pub fn is_canonical(stored: &[u8]) -> bool {
    stored.first() == Some(&b'{') && metadata_offset(stored).is_some()
}

/// The metadata of a stored object, with its braces.
pub(super) fn metadata(stored: &[u8]) -> Option<&[u8]> {
    let begin = metadata_offset(stored)? - 1;
    Some(&stored[begin..value_end(stored, begin)?])
}

/// A member of a stored object, such as its `spec`, as it is written.
pub fn member<'s>(stored: &'s [u8], name: &str) -> Option<&'s [u8]> {
    // The members before are texts without quotes.
    let mut at = value_end(stored, metadata_offset(stored)? - 1)?;
    while stored.get(at) == Some(&b',') {
        let key = at + 1..value_end(stored, at + 1)?;
        let value = key.end + 1..value_end(stored, key.end + 1)?;
        let found = &stored[key];
        if found.len() == name.len() + 2 && found[1..].starts_with(name.as_bytes()) {
            return Some(&stored[value]);
        }
        at = value.end;
    }
    None
}

/// Where a value that begins at `begin` ends, in JSON without spaces.
fn value_end(stored: &[u8], begin: usize) -> Option<usize> {
    let (mut depth, mut in_text, mut at) = (0usize, false, begin);
    loop {
        match (stored.get(at)?, in_text) {
            (b'\\', true) => at += 1,
            (b'"', _) => in_text = !in_text,
            (_, true) => {}
            (b'{' | b'[', _) => depth += 1,
            (b'}' | b']' | b',', _) if depth == 0 => return Some(at),
            (b'}' | b']', _) => depth -= 1,
            _ => {}
        }
        at += 1;
        // Texts and whole objects end by themselves; numbers and words before what follows.
        if depth == 0 && !in_text && matches!(stored.get(at - 1)?, b'"' | b'}' | b']') {
            return Some(at);
        }
    }
}

pub(super) fn version_text(stored: &[u8], offset: usize, resource_version: u64) -> String {
    let comma = if stored.get(offset) == Some(&b'}') {
        ""
    } else {
        ","
    };
    format!("\"resourceVersion\":\"{resource_version}\"{comma}")
}

/// A stored object with its resource version; None for bytes that [`super::canonical`] did not make.
pub fn splice(stored: &Bytes, resource_version: u64) -> Option<Spliced> {
    let offset = metadata_offset(stored)?;
    Some(Spliced {
        head: stored.slice(..offset),
        version: version_text(stored, offset, resource_version).into(),
        tail: stored.slice(offset..),
    })
}

/// As [`splice`], appended to a buffer. Says whether the bytes were canonical; otherwise nothing is written.
pub fn splice_bytes(stored: &[u8], resource_version: u64, out: &mut Vec<u8>) -> bool {
    let Some(offset) = metadata_offset(stored) else {
        return false;
    };
    let version = version_text(stored, offset, resource_version);
    out.reserve(stored.len() + version.len());
    out.extend_from_slice(&stored[..offset]);
    out.extend_from_slice(version.as_bytes());
    out.extend_from_slice(&stored[offset..]);
    true
}
