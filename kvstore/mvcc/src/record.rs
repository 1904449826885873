//! A version of a key: in memory, in `live` and in `hist`.
//!
//! Layout, all integers little-endian: format (1 byte) ∥ create revision ∥ mod revision ∥ version ∥ lease
//! (8 bytes each) ∥ value. In `hist` it follows the superseding revision (8 bytes, big-endian).

use crate::MvccError;
use bytes::Bytes;
use mainstay_proto::mvccpb::KeyValue;

const FORMAT: u8 = 1;
pub(crate) const HEADER_LEN: usize = 33;

/// A version of a key that owns its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub create: i64,
    pub modified: i64,
    pub version: i64,
    pub lease: i64,
    pub value: Bytes,
}

/// A version of a key, borrowed from where it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordRef<'a> {
    pub create: i64,
    pub modified: i64,
    pub version: i64,
    pub lease: i64,
    pub value: &'a [u8],
}

impl Record {
    /// Decodes without copying the value.
    pub(crate) fn decode(stored: Bytes, key: &[u8]) -> Result<Self, MvccError> {
        let r = RecordRef::decode(&stored, key)?;
        Ok(Self {
            create: r.create,
            modified: r.modified,
            version: r.version,
            lease: r.lease,
            value: stored.slice(HEADER_LEN..),
        })
    }

    pub(crate) fn header(&self) -> [u8; HEADER_LEN] {
        let mut out = [FORMAT; HEADER_LEN];
        let fields = [self.create, self.modified, self.version, self.lease];
        for (slot, field) in out[1..].chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        out
    }

    pub(crate) fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            create: self.create,
            modified: self.modified,
            version: self.version,
            lease: self.lease,
            value: &self.value,
        }
    }

    pub(crate) fn key_value(&self, key: Bytes) -> KeyValue {
        KeyValue {
            key,
            create_revision: self.create,
            mod_revision: self.modified,
            version: self.version,
            value: self.value.clone(),
            lease: self.lease,
        }
    }
}

impl<'a> RecordRef<'a> {
    /// `key` only names the record in the error.
    pub(crate) fn decode(stored: &'a [u8], key: &[u8]) -> Result<Self, MvccError> {
        match stored.split_first_chunk::<HEADER_LEN>() {
            Some((header, value)) if header[0] == FORMAT => Ok(Self {
                create: field(header, 0),
                modified: field(header, 1),
                version: field(header, 2),
                lease: field(header, 3),
                value,
            }),
            _ => Err(MvccError::corrupt("record", key)),
        }
    }

    /// Decodes a value of `hist`: the superseding revision and the record.
    pub(crate) fn decode_hist(stored: &'a [u8], key: &[u8]) -> Result<(i64, Self), MvccError> {
        let (superseded, record) = stored
            .split_first_chunk::<8>()
            .ok_or_else(|| MvccError::corrupt("old record", key))?;
        Ok((i64::from_be_bytes(*superseded), Self::decode(record, key)?))
    }

    pub(crate) fn to_owned(self) -> Record {
        Record {
            create: self.create,
            modified: self.modified,
            version: self.version,
            lease: self.lease,
            value: Bytes::copy_from_slice(self.value),
        }
    }
}

fn field(header: &[u8; HEADER_LEN], n: usize) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[1 + 8 * n..9 + 8 * n]);
    i64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_what_is_cut_or_unknown() {
        let record = Record {
            create: 2,
            modified: i64::MAX,
            version: 7,
            lease: -3,
            value: Bytes::from_static(b"value"),
        };
        let stored = [&record.header()[..], &record.value].concat();
        assert_eq!(Record::decode(stored.clone().into(), b"k").unwrap(), record);
        assert_eq!(RecordRef::decode(&stored, b"k").unwrap().to_owned(), record);
        for len in 0..HEADER_LEN {
            assert!(RecordRef::decode(&stored[..len], b"k").is_err());
        }
        let mut other = stored;
        other[0] = 9;
        assert!(RecordRef::decode(&other, b"k").is_err());
    }
}
