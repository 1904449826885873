//! Little helpers for the small fixed structures (segment header, witness).

use crate::entry::LogId;

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_id(out: &mut Vec<u8>, id: Option<&LogId>) {
    out.push(u8::from(id.is_some()));
    let id = id.copied().unwrap_or(LogId {
        term: 0,
        leader: 0,
        index: 0,
    });
    put_u64(out, id.term);
    put_u64(out, id.leader);
    put_u64(out, id.index);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.push(u8::from(bytes.is_some()));
    let bytes = bytes.unwrap_or_default();
    // Callers bound what they store by `VOTE_BYTES_MAX`, far below 64 KiB.
    out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads the same structures back; every step may find the input too short.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub(crate) fn id(&mut self) -> Option<Option<LogId>> {
        let present = self.u8()? != 0;
        let id = LogId {
            term: self.u64()?,
            leader: self.u64()?,
            index: self.u64()?,
        };
        Some(present.then_some(id))
    }

    pub(crate) fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        let present = self.u8()? != 0;
        let len: [u8; 2] = self.take(2)?.try_into().ok()?;
        let bytes = self.take(usize::from(u16::from_le_bytes(len)))?;
        Some(present.then_some(bytes))
    }
}
