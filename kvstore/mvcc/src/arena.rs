//! Memory for the many small keys and values of one answer.

use crate::limits::{ARENA_CHUNK_BYTES_MAX, ARENA_CHUNK_BYTES_MIN};
use bytes::{Bytes, BytesMut};

/// Copies byte strings into shared chunks: one allocation for many of them. A chunk lives as long as any
/// string in it, so this is for things that are dropped together.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    chunk: BytesMut,
    chunk_bytes: usize,
}

impl Arena {
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.is_empty() {
            return Bytes::new();
        }
        if bytes.len() > self.chunk.capacity() - self.chunk.len() {
            if bytes.len() >= ARENA_CHUNK_BYTES_MIN {
                return Bytes::copy_from_slice(bytes);
            }
            self.chunk_bytes =
                (self.chunk_bytes * 2).clamp(ARENA_CHUNK_BYTES_MIN, ARENA_CHUNK_BYTES_MAX);
            self.chunk = BytesMut::with_capacity(self.chunk_bytes);
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_what_they_were() {
        let mut arena = Arena::default();
        let sizes = [0, 1, 100, 5000, 3, 4000, 90_000, 17];
        let strings: Vec<Vec<u8>> = (0..400)
            .map(|n| vec![n as u8; sizes[n % sizes.len()]])
            .collect();
        let copies: Vec<Bytes> = strings.iter().map(|s| arena.copy(s)).collect();
        assert!(copies.iter().zip(&strings).all(|(a, b)| a == b));
    }
}
