//! Names that are made of hashes, as upstream makes them: users and tools look for them.

use sha2::{Digest as _, Sha256};

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The first `length` characters of a SHA-256 in base 32.
#[must_use]
pub(crate) fn hash(text: &str, length: usize) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut name = String::with_capacity(length);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in digest {
        bits = (bits << 8) | u32::from(byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            let at = usize::try_from((bits >> count) & 31).expect("below 32");
            name.push(char::from(ALPHABET[at]));
            if name.len() == length {
                return name;
            }
        }
        bits &= (1 << count) - 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_upstreams() {
        // From upstream's own tests.
        assert_eq!(hash("ns1/svc1/tcp/p80", 8), "ULMVA6XW");
        assert_eq!(hash("ns1/svc1:p80tcp", 16), "XPGD46QRK7WJZT7O");
    }
}
