//! Names and uids the server makes.

use crate::limits::{GENERATED_NAME_BYTES_MAX, GENERATED_SUFFIX_CHARS};
use rand::Rng;

/// No vowels, so that no words arise by chance; no 0, 1 and 3, which look like letters.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Random characters as generateName appends them.
pub fn random_suffix(rng: &mut impl Rng, chars: usize) -> String {
    (0..chars)
        .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
        .collect()
}

/// A name made of a prefix, cut to 58 bytes, and five random characters.
pub fn generated_name(rng: &mut impl Rng, prefix: &str) -> String {
    let mut end = prefix
        .len()
        .min(GENERATED_NAME_BYTES_MAX - GENERATED_SUFFIX_CHARS);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    format!(
        "{}{}",
        &prefix[..end],
        random_suffix(rng, GENERATED_SUFFIX_CHARS)
    )
}

/// A random uid (UUID version 4).
pub fn generate_uid(rng: &mut impl Rng) -> String {
    const VERSION_4: u128 = 0x4000 << 64;
    const VARIANT: u128 = 0x8000 << 48;
    let bits = rng.random::<u128>() & !(0xf000 << 64) & !(0xc000 << 48) | VERSION_4 | VARIANT;
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn names_keep_their_prefix_and_fit_63_bytes() {
        let mut rng = StdRng::seed_from_u64(1);
        let name = generated_name(&mut rng, "web-");
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert!(name.bytes().skip(4).all(|b| ALPHABET.contains(&b)));
        let long = generated_name(&mut rng, &"a".repeat(100));
        assert_eq!(long.len(), 63);
        assert!(generated_name(&mut rng, &"ä".repeat(60)).len() <= 63);
    }

    #[test]
    fn uids_are_version_4() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..50 {
            let uid = generate_uid(&mut rng);
            let parts: Vec<usize> = uid.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{uid}");
            assert_eq!(&uid[14..15], "4", "{uid}");
            assert!(matches!(&uid[19..20], "8" | "9" | "a" | "b"), "{uid}");
        }
    }
}
