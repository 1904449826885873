//! The key ranges that are watched, in one normal form per set of keys.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::DefaultHashBuilder;

/// A non-empty set of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    Key(Box<[u8]>),
    Prefix(Box<[u8]>),
    Span(Box<Span>),
}

/// Keys from `start` up to but excluding `end`; without an end, all keys from `start` on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) start: Box<[u8]>,
    pub(crate) end: Option<Box<[u8]>>,
}

impl Span {
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && self.end.as_ref().is_none_or(|end| *key < **end)
    }
}

impl Range {
    /// The range of a request in etcd's convention: an empty key means `\0`, an empty end the single key, an end of
    /// `\0` everything from the key on. `None` if the range is empty.
    pub(crate) fn from_request(key: &[u8], range_end: &[u8]) -> Option<Self> {
        let key = if key.is_empty() { b"\0" } else { key };
        if range_end.is_empty() {
            return Some(Self::Key(key.into()));
        }
        if range_end == b"\0" {
            return Some(Self::Span(Box::new(Span {
                start: key.into(),
                end: None,
            })));
        }
        if key >= range_end {
            return None;
        }
        Some(if is_successor(key, range_end) {
            Self::Key(key.into())
        } else if is_prefix_end(key, range_end) {
            Self::Prefix(key.into())
        } else {
            Self::Span(Box::new(Span {
                start: key.into(),
                end: Some(range_end.into()),
            }))
        })
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(k) => **k == *key,
            Self::Prefix(p) => key.starts_with(p),
            Self::Span(span) => span.contains(key),
        }
    }

    /// A single key hashes as the key itself does, so that an event's hash finds it.
    pub(crate) fn hash(&self, hasher: &DefaultHashBuilder) -> u64 {
        let mut state = hasher.build_hasher();
        match self {
            Self::Key(key) => return hasher.hash_one(&**key),
            Self::Prefix(prefix) => (1_u8, prefix).hash(&mut state),
            Self::Span(span) => (2_u8, span).hash(&mut state),
        }
        state.finish()
    }
}

/// Whether no key lies between the two.
fn is_successor(key: &[u8], end: &[u8]) -> bool {
    end.split_last() == Some((&0, key))
}

/// Whether `end` is the first key after all that begin with `key`.
fn is_prefix_end(key: &[u8], end: &[u8]) -> bool {
    let kept = key.iter().rposition(|&b| b != 0xff);
    let Some(last) = kept else { return false };
    end.len() == last + 1 && end[..last] == key[..last] && end[last] == key[last] + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &[u8], end: &[u8]) -> Option<Range> {
        Range::from_request(key, end)
    }

    #[test]
    fn forms_of_a_request() {
        assert_eq!(range(b"", b""), Some(Range::Key(b"\0"[..].into())));
        assert_eq!(range(b"a", b""), Some(Range::Key(b"a"[..].into())));
        assert_eq!(range(b"a", b"a\0"), Some(Range::Key(b"a"[..].into())));
        assert_eq!(range(b"ab", b"ac"), Some(Range::Prefix(b"ab"[..].into())));
        assert_eq!(
            range(b"a\xff\xff", b"b"),
            Some(Range::Prefix(b"a\xff\xff"[..].into()))
        );
        assert_eq!(range(b"a", b"a"), None);
        assert_eq!(range(b"b", b"a"), None);
        assert!(matches!(range(b"", b"\0"), Some(Range::Span(s)) if s.end.is_none()));
        assert!(matches!(range(b"\xff", b"\xff\xff"), Some(Range::Span(_))));
        assert!(matches!(range(b"a", b"c"), Some(Range::Span(_))));
    }

    #[test]
    fn prefixes_are_the_same_set_as_their_span() {
        let keys: &[&[u8]] = &[
            b"a",
            b"a\xfe",
            b"a\xff",
            b"a\xff\0",
            b"a\xff\xff",
            b"b",
            b"b\0",
        ];
        for (start, end) in [
            (&b"a\xff"[..], &b"b"[..]),
            (b"a", b"b"),
            (b"a\xfe", b"a\xff"),
        ] {
            let Some(prefix @ Range::Prefix(_)) = range(start, end) else {
                panic!("a prefix")
            };
            for key in keys {
                assert_eq!(prefix.contains(key), start <= *key && *key < end, "{key:?}");
            }
        }
    }
}
