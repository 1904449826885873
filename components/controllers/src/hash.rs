//! Short names for what objects contain.

use serde::Serialize;

/// The characters of names that hashes become: no vowels, so that no words come out, and nothing that looks like
/// something else.
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// FNV-1a, 32 bits.
struct Fnv(u32);

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}

/// A name of up to ten characters for `content`. `collisions` makes another one of it when something else has it
/// already.
///
/// The same content has the same name in every process: it is taken from JSON with sorted names. It is not the one
/// that upstream's controllers give, which comes from Go's way of printing structures; nobody compares the two,
/// because what exists is found by its content.
pub(crate) fn name_of<T: Serialize>(content: &T, collisions: Option<i32>) -> String {
    let mut hash = Fnv(0x811c_9dc5);
    let value = serde_json::to_value(content).unwrap_or_default();
    hash.write(value.to_string().as_bytes());
    if let Some(collisions) = collisions {
        hash.write(&collisions.to_le_bytes());
        hash.write(&[0; 4]);
    }
    safe(&hash.0.to_string())
}

fn safe(text: &str) -> String {
    let safe = |byte: u8| char::from(SAFE[usize::from(byte) % SAFE.len()]);
    text.bytes().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_stable_and_those_after_a_collision_are_others() {
        let web = json!({"spec": {"containers": [{"name": "web", "image": "web:1"}]}});
        let first = name_of(&web, None);
        assert_eq!(first, name_of(&web, None));
        assert!((1..=10).contains(&first.len()));
        assert!(first.bytes().all(|byte| SAFE.contains(&byte)), "{first}");
        let again = name_of(&web, Some(0));
        assert_ne!(first, again);
        assert_ne!(again, name_of(&web, Some(1)));
        let other = json!({"spec": {"containers": [{"name": "web", "image": "web:2"}]}});
        assert_ne!(first, name_of(&other, None));
    }

    #[test]
    fn the_hash_and_its_letters_are_upstreams() {
        let mut hash = Fnv(0x811c_9dc5);
        hash.write(b"foobar");
        assert_eq!(hash.0, 0xbf9c_f968, "the reference value of FNV-1a");
        assert_eq!(safe("0123456789"), "456789bcdf");
    }
}
