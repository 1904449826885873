//! Ranges as etcd writes them.

use std::ops::Bound;

use crate::history::Blob;

/// A range of keys as bounds of a map.
pub(crate) type Span = (Bound<Blob>, Bound<Blob>);

/// Whether `key`..`end` names one key only.
pub(crate) fn is_single(end: &[u8]) -> bool {
    end.is_empty()
}

/// Whether the range contains `wanted`.
pub(crate) fn covers(key: &[u8], end: &[u8], wanted: &[u8]) -> bool {
    match end {
        [] => wanted == key,
        [0] => wanted >= key,
        _ => wanted >= key && wanted < end,
    }
}

/// None when the range is empty.
pub(super) fn span(key: &Blob, end: &Blob) -> Option<Span> {
    let from = Bound::Included(key.clone());
    match &**end {
        [] => Some((from, Bound::Included(key.clone()))),
        [0] => Some((from, Bound::Unbounded)),
        _ if key < end => Some((from, Bound::Excluded(end.clone()))),
        _ => None,
    }
}
