//! The stored form of events, for watch catch-up.
//!
//! Layout, integers little-endian: format (1) ∥ kind (1) ∥ key length (4) ∥ mod revision of the record one
//! revision before, 0 if none (8) ∥ [create revision (8) ∥ version (8) ∥ lease (8), for puts] ∥ key ∥ value.

use crate::MvccError;
use crate::limits::LOG_INLINE_VALUE_BYTES_MAX;
use crate::record::Record;
use mainstay_engine::{Batch, Cf};

const FORMAT: u8 = 1;
const PUT_INLINE: u8 = 0;
const PUT_ELSEWHERE: u8 = 1;
const DELETE: u8 = 2;

/// An event as stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogRecord<'a> {
    pub key: &'a [u8],
    /// The mod revision of the key's record one revision before this event; 0 if there was none or the
    /// event creates the key.
    pub prev_modified: i64,
    /// `None` for a delete.
    pub put: Option<LoggedPut<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LoggedPut<'a> {
    pub create: i64,
    pub version: i64,
    pub lease: i64,
    /// `None` if the value is to be found in `live` or `hist`.
    pub value: Option<&'a [u8]>,
}

/// Writes an event to the batch. `gone` says that the record is stored nowhere else, because the same
/// revision superseded it.
pub(crate) fn write(
    batch: &mut Batch,
    log_key: &[u8],
    key: &[u8],
    prev_modified: i64,
    put: Option<&Record>,
    gone: bool,
) {
    let inline = put.is_some_and(|r| gone || r.value.len() <= LOG_INLINE_VALUE_BYTES_MAX);
    let kind = match (put, inline) {
        (None, _) => DELETE,
        (Some(_), true) => PUT_INLINE,
        (Some(_), false) => PUT_ELSEWHERE,
    };
    let mut head = [0u8; 38];
    head[0] = FORMAT;
    head[1] = kind;
    let key_len = u32::try_from(key.len()).expect("requests are limited to far less than 4 GiB");
    head[2..6].copy_from_slice(&key_len.to_le_bytes());
    head[6..14].copy_from_slice(&prev_modified.to_le_bytes());
    let mut value: &[u8] = &[];
    let mut head_len = 14;
    if let Some(record) = put {
        head[14..22].copy_from_slice(&record.create.to_le_bytes());
        head[22..30].copy_from_slice(&record.version.to_le_bytes());
        head[30..38].copy_from_slice(&record.lease.to_le_bytes());
        head_len = 38;
        if inline {
            value = &record.value;
        }
    }
    batch.put_parts(Cf::Log, &[log_key], &[&head[..head_len], key, value]);
}

impl<'a> LogRecord<'a> {
    pub(crate) fn decode(stored: &'a [u8]) -> Result<Self, MvccError> {
        Self::parse(stored).ok_or_else(|| MvccError::Corrupt("event".into()))
    }

    fn parse(stored: &'a [u8]) -> Option<Self> {
        let (&[format, kind], rest) = stored.split_first_chunk::<2>()?;
        if format != FORMAT {
            return None;
        }
        let (key_len, rest) = rest.split_first_chunk::<4>()?;
        let key_len = u32::from_le_bytes(*key_len) as usize;
        let (prev_modified, rest) = int(rest)?;
        if kind == DELETE {
            return (rest.len() == key_len).then_some(Self {
                key: rest,
                prev_modified,
                put: None,
            });
        }
        let (create, rest) = int(rest)?;
        let (version, rest) = int(rest)?;
        let (lease, rest) = int(rest)?;
        let (key, value) = rest.split_at_checked(key_len)?;
        let value = match kind {
            PUT_INLINE => Some(value),
            PUT_ELSEWHERE if value.is_empty() => None,
            _ => return None,
        };
        Some(Self {
            key,
            prev_modified,
            put: Some(LoggedPut {
                create,
                version,
                lease,
                value,
            }),
        })
    }
}

fn int(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (int, rest) = bytes.split_first_chunk::<8>()?;
    Some((i64::from_le_bytes(*int), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use mainstay_engine::BatchOp;

    fn stored(put: Option<&Record>, gone: bool) -> Vec<u8> {
        let mut batch = Batch::new();
        write(&mut batch, b"position", b"key", 4, put, gone);
        match batch.iter().next().unwrap() {
            BatchOp::Put { value, .. } => value.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn round_trips_and_never_panics_on_damage() {
        let small = Record {
            create: 3,
            modified: 9,
            version: 2,
            lease: 5,
            value: Bytes::from_static(b"small"),
        };
        let large = Record {
            value: vec![7; LOG_INLINE_VALUE_BYTES_MAX + 1].into(),
            ..small.clone()
        };
        for (put, gone, inline) in [
            (None, false, false),
            (Some(&small), false, true),
            (Some(&large), false, false),
            (Some(&large), true, true),
        ] {
            let bytes = stored(put, gone);
            let back = LogRecord::decode(&bytes).unwrap();
            assert_eq!((back.key, back.prev_modified), (&b"key"[..], 4));
            let value = back.put.map(|p| {
                assert_eq!((p.create, p.version, p.lease), (3, 2, 5));
                p.value.map(<[u8]>::to_vec)
            });
            let want = put.map(|r| inline.then(|| r.value.to_vec()));
            assert_eq!(value, want);
            for len in 0..bytes.len().min(60) {
                let _ = LogRecord::decode(&bytes[..len]);
            }
        }
        assert!(LogRecord::decode(&[2; 60]).is_err());
    }
}
