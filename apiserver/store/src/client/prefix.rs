//! Ranges of keys.

use bytes::Bytes;

/// The first key after all keys with this prefix, as the `range_end` of an etcd request: `\0` means "no end".
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end.into();
        }
        end.pop();
    }
    Bytes::from_static(b"\0")
}

#[cfg(test)]
mod tests {
    use super::prefix_end;

    #[test]
    fn the_end_is_the_next_key_that_lacks_the_prefix() {
        for (prefix, end) in [
            (b"/registry/pods/".as_slice(), b"/registry/pods0".as_slice()),
            (b"a\xff", b"b"),
            (b"\xff\xff", b"\0"),
            (b"", b"\0"),
        ] {
            assert_eq!(prefix_end(prefix), end, "{prefix:?}");
        }
    }
}
