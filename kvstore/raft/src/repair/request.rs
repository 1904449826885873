//! What a member under repair asks its peers for.

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{Malformed, Reader};

/// "Replace me by myself, with nothing."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RepairRequest {
    pub(crate) cluster_id: u64,
    pub(crate) id: u64,
    /// With which it will come back.
    pub(crate) incarnation: u64,
    /// With which the cluster knew it, if that is still known.
    pub(crate) former: Option<u64>,
}

impl RepairRequest {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u64_le(self.cluster_id);
        out.put_u64_le(self.id);
        out.put_u64_le(self.incarnation);
        out.put_u8(u8::from(self.former.is_some()));
        out.put_u64_le(self.former.unwrap_or_default());
        out.freeze()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes, "repair request");
        let (cluster_id, id, incarnation) = (r.u64()?, r.u64()?, r.u64()?);
        let (known, former) = (r.bool()?, r.u64()?);
        r.end()?;
        Ok(Self {
            cluster_id,
            id,
            incarnation,
            former: known.then_some(former),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_round_trip() {
        for former in [None, Some(4)] {
            let request = RepairRequest {
                cluster_id: 1,
                id: 2,
                incarnation: 3,
                former,
            };
            let bytes = request.encode();
            assert_eq!(
                RepairRequest::decode(bytes.clone()).expect("decodes"),
                request
            );
            for cut in 0..bytes.len() {
                assert!(RepairRequest::decode(bytes.slice(..cut)).is_err());
            }
        }
    }
}
