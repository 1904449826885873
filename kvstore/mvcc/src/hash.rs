//! The hash that replicas compare.
//!
//! The sum of one 64-bit hash per record, folded to 32 bits. It covers every record written up to the
//! hashed revision that is readable at some revision from the compacted one on, with the revision that
//! superseded it if that is not beyond the hashed one. A sum does not depend on order, so `live` and `hist`
//! need not be merged; records that only some replicas have physically dropped are left out on all of them.

use crate::record::RecordRef;
use crate::{MvccError, keys};
use mainstay_engine::{Cf, Direction, Read};
use std::ops::ControlFlow;

/// The answer to a hash request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKv {
    /// Equal on all replicas for equal `compact_revision` and `hash_revision`.
    pub hash: u32,
    /// The current revision.
    pub revision: i64,
    pub compact_revision: i64,
    /// The revision up to which records were hashed.
    pub hash_revision: i64,
}

/// Hashes what was written up to `revision` and is readable at or after `compacted`.
pub(crate) fn hash<R: Read + ?Sized>(
    read: &R,
    revision: i64,
    compacted: i64,
) -> Result<u32, MvccError> {
    let mut sum = 0u64;
    each(read, Cf::Live, |key, stored| {
        let record = RecordRef::decode(stored, key)?;
        if record.modified <= revision {
            sum = sum.wrapping_add(hash_record(key, &record, 0));
        }
        Ok(())
    })?;
    let mut key = Vec::new();
    each(read, Cf::Hist, |stored_key, stored| {
        keys::split_hist(stored_key, &mut key)?;
        let (superseded, record) = RecordRef::decode_hist(stored, &key)?;
        if record.modified <= revision && superseded > compacted {
            let superseded = if superseded <= revision {
                superseded
            } else {
                0
            };
            sum = sum.wrapping_add(hash_record(&key, &record, superseded));
        }
        Ok(())
    })?;
    let sum = mix(sum);
    Ok((sum >> 32) as u32 ^ sum as u32)
}

fn each<R: Read + ?Sized>(
    read: &R,
    cf: Cf,
    mut f: impl FnMut(&[u8], &[u8]) -> Result<(), MvccError>,
) -> Result<(), MvccError> {
    let mut result = Ok(());
    read.scan(cf, &[], None, Direction::Ascending, &mut |key, stored| {
        result = f(key, stored);
        if result.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    result
}

/// Part of the format: all replicas of a cluster, whatever their version, must agree on it.
fn hash_record(key: &[u8], record: &RecordRef<'_>, superseded: i64) -> u64 {
    let numbers = [
        record.create,
        record.modified,
        record.version,
        record.lease,
        superseded,
    ];
    let mut state = add_bytes(SEED, key);
    for number in numbers {
        state = add(state, number as u64);
    }
    mix(add_bytes(state, record.value))
}

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
const FACTOR: u64 = 0xFF51_AFD7_ED55_8CCD;

fn add(state: u64, word: u64) -> u64 {
    (state ^ mix_light(word))
        .wrapping_mul(FACTOR)
        .rotate_left(29)
}

fn mix_light(word: u64) -> u64 {
    (word ^ (word >> 32)).wrapping_mul(SEED)
}

/// Adds length and bytes, so that neighbouring fields cannot run into each other.
fn add_bytes(state: u64, bytes: &[u8]) -> u64 {
    let mut state = add(state, bytes.len() as u64);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = add(state, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    add(state, u64::from_le_bytes(last))
}

/// Spreads every bit over the whole word.
fn mix(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(FACTOR);
    word ^= word >> 33;
    word = word.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    word ^ (word >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use bytes::Bytes;
    use std::collections::HashSet;

    #[test]
    fn every_field_matters_and_the_function_never_changes() {
        let record = Record {
            create: 1,
            modified: 2,
            version: 3,
            lease: 4,
            value: Bytes::from_static(b"value that is long"),
        };
        let with = |f: fn(&mut Record)| {
            let mut other = record.clone();
            f(&mut other);
            hash_record(b"key", &other.as_ref(), 0)
        };
        let all = [
            hash_record(b"key", &record.as_ref(), 0),
            hash_record(b"key\0", &record.as_ref(), 0),
            hash_record(b"kez", &record.as_ref(), 0),
            hash_record(b"key", &record.as_ref(), 1),
            with(|r| r.create += 1),
            with(|r| r.modified += 1),
            with(|r| r.version += 1),
            with(|r| r.lease += 1),
            with(|r| r.value = Bytes::from_static(b"value that is lonh")),
            with(|r| r.value = Bytes::from_static(b"value that is long\0")),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_eq!(all[0], GOLDEN, "{:#x}", all[0]);
    }

    const GOLDEN: u64 = 0x5777_c5bb_434c_c1a9;
}
