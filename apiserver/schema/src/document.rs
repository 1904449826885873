//! A finished document with the tag that tells whether it has changed.

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha512};
use std::fmt::Write as _;

/// Bytes to send and their ETag.
#[derive(Clone, Debug)]
pub struct Document {
    pub body: Bytes,
    /// SHA-512 of the body in upper-case hexadecimal, without quotes; a header value wants them around it.
    pub hash: String,
}

impl Document {
    pub fn new(body: Bytes) -> Self {
        let mut hash = String::with_capacity(128);
        for byte in Sha512::digest(&body) {
            write!(hash, "{byte:02X}").expect("writing to a string cannot fail");
        }
        Self { body, hash }
    }

    pub fn json(value: &Value) -> Self {
        Self::new(value.to_string().into())
    }

    /// The value of the `ETag` header.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.hash)
    }
}
