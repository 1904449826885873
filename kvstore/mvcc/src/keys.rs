//! The keys of the column families.
//!
//! - `live`: the user's key.
//! - `hist`: escaped key ∥ inverted mod revision (big-endian): the newest version of a key comes first, so
//!   that the version of any revision is one seek away. In the escaped key a 0x00 becomes 0x00 0xFF and
//!   the end is 0x00 0x01: order is kept although keys may contain any byte and be prefixes of each other.
//! - `log`: revision (8 bytes) ∥ sub-revision (4 bytes), big-endian.
//! - `lease`: `b'a'` ∥ lease id (big-endian) ∥ key, for keys attached to a lease.
//! - `meta`: `revision`.

use crate::MvccError;

/// Holds revision and compacted revision together, so that a reader needs one look-up.
pub(crate) const META_REVISION: &[u8] = b"revision";

const ZERO: u8 = 0x00;
const ESCAPED_ZERO: u8 = 0xFF;
const END: u8 = 0x01;
const REVISION_LEN: usize = 8;

/// Appends the escaped key with its terminator.
pub(crate) fn escape(key: &[u8], out: &mut Vec<u8>) {
    let mut rest = key;
    while let Some(at) = rest.iter().position(|byte| *byte == ZERO) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[ZERO, ESCAPED_ZERO]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[ZERO, END]);
}

/// The smallest `hist` key of `key`, which is also the end of the range of all smaller keys.
pub(crate) fn hist_prefix(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 2 + REVISION_LEN);
    escape(key, &mut out);
    out
}

pub(crate) fn hist_key(key: &[u8], revision: i64) -> Vec<u8> {
    let mut out = hist_prefix(key);
    out.extend_from_slice(&inverted(revision));
    out
}

/// The inverted revision as it ends a `hist` key.
pub(crate) fn inverted(revision: i64) -> [u8; REVISION_LEN] {
    (!revision).to_be_bytes()
}

/// The revision at the end of a `hist` key.
pub(crate) fn hist_revision(stored: &[u8]) -> Result<i64, MvccError> {
    let bytes = stored
        .last_chunk::<REVISION_LEN>()
        .ok_or_else(|| MvccError::corrupt("history key", stored))?;
    Ok(!i64::from_be_bytes(*bytes))
}

/// Splits a `hist` key: writes the user's key to `key` and returns the revision.
pub(crate) fn split_hist(stored: &[u8], key: &mut Vec<u8>) -> Result<i64, MvccError> {
    let damaged = || MvccError::corrupt("history key", stored);
    key.clear();
    let revision = hist_revision(stored)?;
    let mut rest = hist_key_part(stored);
    loop {
        let at = rest
            .iter()
            .position(|byte| *byte == ZERO)
            .ok_or_else(damaged)?;
        key.extend_from_slice(&rest[..at]);
        match rest.get(at + 1) {
            Some(&ESCAPED_ZERO) => key.push(ZERO),
            Some(&END) if at + 2 == rest.len() => return Ok(revision),
            _ => return Err(damaged()),
        }
        rest = &rest[at + 2..];
    }
}

/// The part of a `hist` key that is common to all versions of its key.
pub(crate) fn hist_key_part(stored: &[u8]) -> &[u8] {
    &stored[..stored.len().saturating_sub(REVISION_LEN)]
}

pub(crate) fn log_key(revision: i64, sub: u32) -> [u8; 12] {
    let mut out = [0; 12];
    out[..8].copy_from_slice(&revision.to_be_bytes());
    out[8..].copy_from_slice(&sub.to_be_bytes());
    out
}

pub(crate) fn split_log(stored: &[u8]) -> Result<(i64, u32), MvccError> {
    let parts = stored.split_first_chunk::<8>().and_then(|(revision, sub)| {
        let sub = <[u8; 4]>::try_from(sub).ok()?;
        Some((i64::from_be_bytes(*revision), u32::from_be_bytes(sub)))
    });
    parts.ok_or_else(|| MvccError::corrupt("event key", stored))
}

/// The start of the `lease` keys of everything attached to `lease`.
pub(crate) fn attachment_prefix(lease: i64) -> [u8; 9] {
    let mut out = [b'a'; 9];
    out[1..].copy_from_slice(&lease.to_be_bytes());
    out
}

/// The first key after all that begin with `prefix`; `None` if there is no such key.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(
            prop::sample::select(vec![0u8, 1, 2, 0x61, 0xFE, 0xFF]),
            0..6,
        )
    }

    proptest! {
        #[test]
        fn escaping_keeps_the_order(a in keys(), b in keys(), ra in 0i64..4, rb in 0i64..4) {
            let (ka, kb) = (hist_key(&a, ra), hist_key(&b, rb));
            prop_assert_eq!(ka.cmp(&kb), (&a, rb).cmp(&(&b, ra)));
            prop_assert_eq!(a < b, ka < hist_prefix(&b));
            let mut key = b"left over".to_vec();
            prop_assert_eq!(split_hist(&ka, &mut key).unwrap(), ra);
            prop_assert_eq!(key, a);
        }

        #[test]
        fn splitting_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let _ = split_hist(&bytes, &mut Vec::new());
            let _ = split_log(&bytes);
        }
    }

    #[test]
    fn prefix_ends() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff"), None);
    }
}
