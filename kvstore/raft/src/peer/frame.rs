//! Frames: `length u32, crc u32, kind u8, id u64, body`.
//!
//! The length counts everything after itself; the checksum covers everything after itself.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::limits::FRAME_BYTES_MAX;

const PREFIX_BYTES: usize = 8;
const HEADER_BYTES: usize = 9;

/// One message on a peer connection.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    /// Pairs an answer with its request.
    pub(crate) id: u64,
    pub(crate) body: Bytes,
}

impl Frame {
    /// Bytes this frame takes on the wire.
    pub(crate) fn wire_len(&self) -> usize {
        PREFIX_BYTES + HEADER_BYTES + self.body.len()
    }

    /// Appends the frame to a write buffer.
    pub(crate) fn put(&self, out: &mut BytesMut) {
        out.reserve(self.wire_len());
        let len = HEADER_BYTES + 4 + self.body.len();
        out.put_u32_le(u32::try_from(len).expect("frames are limited to far less than 4 GiB"));
        let crc_at = out.len();
        out.put_u32_le(0);
        out.put_u8(self.kind);
        out.put_u64_le(self.id);
        out.put_slice(&self.body);
        let crc = crc32fast::hash(&out[crc_at + 4..]);
        out[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Reads one frame; `None` at a clean end of the stream. The body shares the buffer it was read into.
pub(crate) async fn read_frame<R: AsyncRead + Unpin>(io: &mut R) -> io::Result<Option<Frame>> {
    let mut prefix = [0; 4];
    match io.read_exact(&mut prefix).await {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let len = u32::from_le_bytes(prefix) as usize;
    if !(HEADER_BYTES + 4..=FRAME_BYTES_MAX).contains(&len) {
        return Err(invalid("a peer sent a frame of impossible length"));
    }
    let mut buf = BytesMut::with_capacity(len);
    while buf.len() < len {
        let missing = len - buf.len();
        if (&mut *io).take(missing as u64).read_buf(&mut buf).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let crc = buf.get_u32_le();
    if crc != crc32fast::hash(&buf) {
        return Err(invalid("a peer's frame does not match its checksum"));
    }
    let kind = buf.get_u8();
    let id = buf.get_u64_le();
    Ok(Some(Frame {
        kind,
        id,
        body: buf.freeze(),
    }))
}

/// Writes one frame and flushes.
pub(crate) async fn write_frame<W: AsyncWrite + Unpin>(
    io: &mut W,
    frame: &Frame,
) -> io::Result<()> {
    let mut out = BytesMut::new();
    frame.put(&mut out);
    io.write_all(&out).await?;
    io.flush().await
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> BytesMut {
        let mut out = BytesMut::new();
        Frame {
            kind: 3,
            id: 77,
            body: Bytes::from_static(b"hello"),
        }
        .put(&mut out);
        out
    }

    #[tokio::test]
    async fn a_frame_round_trips() {
        let bytes = encoded();
        let frame = read_frame(&mut &bytes[..])
            .await
            .expect("reads")
            .expect("one frame");
        assert_eq!(
            (frame.kind, frame.id, &frame.body[..]),
            (3, 77, &b"hello"[..])
        );
        assert!(
            read_frame(&mut &bytes[..0])
                .await
                .expect("clean end")
                .is_none()
        );
    }

    #[tokio::test]
    async fn every_flipped_bit_is_noticed() {
        let good = encoded();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let read = read_frame(&mut &bad[..]).await;
                assert!(read.is_err(), "byte {at} bit {bit}");
            }
        }
    }
}
