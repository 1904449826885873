//! Keys and values of a load.

use std::io::Write;

use crate::wire::STAMP_LEN;

/// Shape of the data. Keys are a letter and a number with leading zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    /// Distinct keys.
    pub(crate) count: u64,
    /// Length of a key in bytes, 8 to 64.
    pub(crate) key_len: usize,
    /// Length of a value in bytes, at least that of the stamp.
    pub(crate) value_len: usize,
}

/// First letter of ordinary keys, and of those that are watched.
pub(crate) const PLAIN: u8 = b'k';
pub(crate) const WATCHED: u8 = b'w';

/// Makes keys and values without allocating.
#[derive(Debug)]
pub(crate) struct KeyMaker {
    shape: Keys,
    key: Vec<u8>,
    noise: Vec<u8>,
    random: u64,
}

/// Values are cut from this much noise, so that a server that compresses gains nothing.
const NOISE_BYTES: usize = 64 * 1024;

impl KeyMaker {
    pub(crate) fn new(shape: Keys) -> Self {
        let mut maker = Self {
            shape,
            key: Vec::new(),
            noise: Vec::new(),
            random: 0x9e37_79b9_7f4a_7c15,
        };
        while maker.noise.len() < NOISE_BYTES + shape.value_len {
            let word = maker.next();
            maker.noise.extend_from_slice(&word.to_le_bytes());
        }
        maker
    }

    /// A pseudo-random number (xorshift64*).
    pub(crate) fn next(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A random key number, such that `room` more keys follow it.
    pub(crate) fn pick(&mut self, room: u64) -> u64 {
        let bound = self.shape.count.saturating_sub(room).max(1);
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Key number `n`.
    pub(crate) fn key(&mut self, letter: u8, n: u64) -> &[u8] {
        let width = self.shape.key_len - 1;
        self.key.clear();
        self.key.push(letter);
        write!(self.key, "{n:0width$}").expect("writing to a vector cannot fail");
        &self.key
    }

    /// A key and the noise that fills its value up after the stamp.
    pub(crate) fn pair(&mut self, letter: u8, n: u64) -> (&[u8], &[u8]) {
        let at = (self.next() % NOISE_BYTES as u64) as usize;
        self.key(letter, n);
        let len = self.shape.value_len.saturating_sub(STAMP_LEN);
        (&self.key, &self.noise[at..at + len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_length_and_order() {
        let mut maker = KeyMaker::new(Keys {
            count: 10_000,
            key_len: 8,
            value_len: 256,
        });
        assert_eq!(maker.key(PLAIN, 42), b"k0000042");
        for _ in 0..10_000 {
            assert!(maker.pick(1_000) < 9_000);
        }
        let (key, filler) = maker.pair(WATCHED, 9_999);
        assert_eq!((key, filler.len()), (&b"w0009999"[..], 248));
    }
}
