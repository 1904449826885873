//! Writing DER (X.690): as much of it as keys and certificates need.

/// INTEGER.
pub const TAG_INTEGER: u8 = 0x02;
/// BIT STRING.
pub const TAG_BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub const TAG_OCTET_STRING: u8 = 0x04;
/// NULL.
pub const TAG_NULL: u8 = 0x05;
/// OBJECT IDENTIFIER.
pub const TAG_OID: u8 = 0x06;
/// SEQUENCE.
pub const TAG_SEQUENCE: u8 = 0x30;

/// One element around the parts.
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let significant = &bytes[bytes.iter().position(|&byte| byte != 0).unwrap_or(0)..];
        out.push(0x80 | significant.len() as u8);
        out.extend_from_slice(significant);
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// An INTEGER from the big-endian bytes of a number that is not negative.
pub fn unsigned(number: &[u8]) -> Vec<u8> {
    let first = number.iter().position(|&byte| byte != 0);
    let significant = first.map_or(&[0][..], |first| &number[first..]);
    // The highest bit is the sign.
    let sign: &[u8] = if significant[0] & 0x80 == 0 {
        &[]
    } else {
        &[0]
    };
    element(TAG_INTEGER, &[sign, significant])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_are_as_short_as_they_can_be() {
        assert_eq!(element(TAG_OCTET_STRING, &[&[7; 3]]), [4, 3, 7, 7, 7]);
        assert_eq!(element(TAG_OCTET_STRING, &[&[7; 200]])[..3], [4, 0x81, 200]);
        assert_eq!(
            element(TAG_OCTET_STRING, &[&[7; 300]])[..4],
            [4, 0x82, 1, 44]
        );
        for (number, written) in [
            (&[0, 0][..], &[2, 1, 0][..]),
            (&[], &[2, 1, 0]),
            (&[0, 0x7f], &[2, 1, 0x7f]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[1, 2], &[2, 2, 1, 2]),
        ] {
            assert_eq!(unsigned(number), written, "{number:?}");
        }
    }
}
