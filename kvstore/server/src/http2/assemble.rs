//! Cutting gRPC messages out of a stream's DATA.

use crate::grpc::{Code, PREFIX_BYTES, Status};
use bytes::{Bytes, BytesMut};

/// Reserved up front for a message whose length is only claimed so far.
const RESERVE_BYTES_MAX: usize = 64 * 1024;

/// Collects one message at a time.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    prefix: [u8; PREFIX_BYTES],
    have: u8,
    need: usize,
    message: BytesMut,
}

impl Assembler {
    /// Takes what it needs from the front of `data`; returns a message when one is complete.
    ///
    /// The message is a copy of exactly its own size, so that keeping it does not pin a receive buffer.
    pub(super) fn feed(
        &mut self,
        data: &mut &[u8],
        message_max: usize,
        encoding: Option<&Bytes>,
    ) -> Result<Option<Bytes>, Status> {
        if usize::from(self.have) < PREFIX_BYTES {
            let take = (PREFIX_BYTES - usize::from(self.have)).min(data.len());
            let at = usize::from(self.have);
            self.prefix[at..at + take].copy_from_slice(&data[..take]);
            self.have += take as u8;
            *data = &data[take..];
            if usize::from(self.have) < PREFIX_BYTES {
                return Ok(None);
            }
            self.need = check(&self.prefix, message_max, encoding)?;
            if self.message.is_empty() && data.len() >= self.need {
                let (message, rest) = data.split_at(self.need);
                *data = rest;
                self.have = 0;
                return Ok(Some(Bytes::copy_from_slice(message)));
            }
            self.message.reserve(self.need.min(RESERVE_BYTES_MAX));
        }
        let take = (self.need - self.message.len()).min(data.len());
        self.message.extend_from_slice(&data[..take]);
        *data = &data[take..];
        if self.message.len() < self.need {
            return Ok(None);
        }
        self.have = 0;
        Ok(Some(std::mem::take(&mut self.message).freeze()))
    }

    /// Whether a message has begun but not ended.
    pub(super) fn in_message(&self) -> bool {
        self.have > 0
    }
}

fn check(
    prefix: &[u8; PREFIX_BYTES],
    message_max: usize,
    encoding: Option<&Bytes>,
) -> Result<usize, Status> {
    let len = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    match (prefix[0], encoding) {
        (0, _) => {}
        (1, Some(name)) => {
            let name = String::from_utf8_lossy(name);
            return Err(Status::new(
                Code::Unimplemented,
                format!("grpc: Decompressor is not installed for grpc-encoding {name:?}"),
            ));
        }
        (1, None) => {
            return Err(Status::fixed(
                Code::Internal,
                "grpc: compressed flag set with identity or empty encoding",
            ));
        }
        (other, _) => {
            return Err(Status::new(
                Code::Internal,
                format!("grpc: received unexpected payload format {other}"),
            ));
        }
    }
    if len > message_max {
        return Err(Status::new(
            Code::ResourceExhausted,
            format!("grpc: received message larger than max ({len} vs. {message_max})"),
        ));
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(messages: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for message in messages {
            crate::grpc::prefix(&mut out, message.len());
            out.extend_from_slice(message);
        }
        out
    }

    #[test]
    fn any_cut_gives_the_same_messages() {
        let messages: &[&[u8]] = &[b"one", b"", b"three three three", b"4"];
        let bytes = framed(messages);
        for step in 1..=bytes.len() {
            let mut assembler = Assembler::default();
            let mut got = Vec::new();
            for chunk in bytes.chunks(step) {
                let mut data = chunk;
                loop {
                    let before = data.len();
                    match assembler.feed(&mut data, 100, None).unwrap() {
                        Some(message) => got.push(message),
                        None => break,
                    }
                    if data.is_empty() && before == 0 {
                        break;
                    }
                }
            }
            assert_eq!(got, messages, "step {step}");
            assert!(!assembler.in_message());
        }
    }

    #[test]
    fn refusals_have_the_texts_of_grpc_go() {
        let feed = |bytes: &[u8], encoding: Option<&Bytes>| {
            let mut data = bytes;
            Assembler::default()
                .feed(&mut data, 10, encoding)
                .unwrap_err()
        };
        let large = feed(&framed(&[&[0; 11]]), None);
        assert_eq!(large.code, Code::ResourceExhausted);
        assert_eq!(
            large.message,
            "grpc: received message larger than max (11 vs. 10)"
        );
        let gzip = feed(&[1, 0, 0, 0, 1, 0], Some(&Bytes::from_static(b"gzip")));
        assert_eq!(gzip.code, Code::Unimplemented);
        assert_eq!(
            gzip.message,
            "grpc: Decompressor is not installed for grpc-encoding \"gzip\""
        );
        assert_eq!(feed(&[1, 0, 0, 0, 1, 0], None).code, Code::Internal);
    }
}
