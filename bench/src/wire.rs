//! The few protobuf messages a load needs, encoded and decoded by hand.
//!
//! Encoders append one gRPC message with its five-octet prefix.

use thiserror::Error;

pub(crate) const PUT: &str = "/etcdserverpb.KV/Put";
pub(crate) const RANGE: &str = "/etcdserverpb.KV/Range";
pub(crate) const WATCH: &str = "/etcdserverpb.Watch/Watch";
pub(crate) const LEASE_GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
pub(crate) const LEASE_KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
pub(crate) const STATUS: &str = "/etcdserverpb.Maintenance/Status";

#[derive(Debug, Error, PartialEq, Eq)]
#[error("malformed protobuf in an answer")]
pub(crate) struct Malformed;

fn message(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 5]);
    body(out);
    let len = (out.len() - start - 5) as u32;
    out[start + 1..start + 5].copy_from_slice(&len.to_be_bytes());
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        varint(out, value);
    }
}

/// PutRequest whose value begins with `stamp` and goes on with `filler`.
pub(crate) fn put(out: &mut Vec<u8>, key: &[u8], stamp: u64, filler: &[u8]) {
    message(out, |out| {
        bytes(out, 1, key);
        out.push(2 << 3 | 2);
        varint(out, (STAMP_LEN + filler.len()) as u64);
        out.extend_from_slice(&stamp.to_le_bytes());
        out.extend_from_slice(filler);
    });
}

/// Octets of a value that hold its stamp.
pub(crate) const STAMP_LEN: usize = 8;

/// RangeRequest; an empty `end` asks for one key, `limit` 0 is none.
pub(crate) fn range(out: &mut Vec<u8>, key: &[u8], end: &[u8], limit: u64, serializable: bool) {
    message(out, |out| {
        bytes(out, 1, key);
        if !end.is_empty() {
            bytes(out, 2, end);
        }
        number(out, 3, limit);
        number(out, 7, u64::from(serializable));
    });
}

/// WatchRequest that creates a watch of [key, end).
pub(crate) fn watch_create(out: &mut Vec<u8>, key: &[u8], end: &[u8]) {
    message(out, |out| {
        let mut create = Vec::with_capacity(32);
        bytes(&mut create, 1, key);
        bytes(&mut create, 2, end);
        bytes(out, 1, &create);
    });
}

/// LeaseGrantRequest; the server chooses the id.
pub(crate) fn lease_grant(out: &mut Vec<u8>, ttl_s: u64) {
    message(out, |out| number(out, 1, ttl_s));
}

/// LeaseKeepAliveRequest.
pub(crate) fn lease_keep_alive(out: &mut Vec<u8>, id: u64) {
    message(out, |out| number(out, 1, id));
}

/// A message without fields.
pub(crate) fn empty(out: &mut Vec<u8>) {
    message(out, |_| {});
}

/// A field of a message; fixed-width ones are skipped by the reader.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Field<'a> {
    Number(u32, u64),
    Bytes(u32, &'a [u8]),
}

/// Reads the fields of one message in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        loop {
            if self.0.is_empty() {
                return Ok(None);
            }
            let key = self.varint()?;
            let field = (key >> 3) as u32;
            match key & 7 {
                0 => return Ok(Some(Field::Number(field, self.varint()?))),
                2 => {
                    let len = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                    return Ok(Some(Field::Bytes(field, self.take(len)?)));
                }
                1 => self.take(8).map(drop)?,
                5 => self.take(4).map(drop)?,
                _ => return Err(Malformed),
            }
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&octet, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

/// How many keys a RangeResponse carries.
pub(crate) fn range_len(message: &[u8]) -> Result<u64, Malformed> {
    let mut fields = Fields(message);
    let mut kvs = 0;
    while let Some(field) = fields.next()? {
        kvs += u64::from(matches!(field, Field::Bytes(2, _)));
    }
    Ok(kvs)
}

/// The last value of a numeric field, 0 if it is absent.
pub(crate) fn number_of(message: &[u8], wanted: u32) -> Result<u64, Malformed> {
    let mut fields = Fields(message);
    let mut found = 0;
    while let Some(field) = fields.next()? {
        if let Field::Number(field, value) = field
            && field == wanted
        {
            found = value;
        }
    }
    Ok(found)
}

/// Whether the member that sent this StatusResponse calls itself the leader.
pub(crate) fn status_is_leader(message: &[u8]) -> Result<bool, Malformed> {
    let mut fields = Fields(message);
    let (mut member, mut leader) = (0, 0);
    while let Some(field) = fields.next()? {
        match field {
            Field::Bytes(1, header) => member = number_of(header, 2)?,
            Field::Number(4, id) => leader = id,
            _ => {}
        }
    }
    Ok(member != 0 && member == leader)
}

/// What a WatchResponse says besides its events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct WatchHead<'a> {
    pub(crate) watch_id: u64,
    pub(crate) created: bool,
    pub(crate) canceled: bool,
    pub(crate) reason: &'a [u8],
}

/// An event, as far as it is checked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) mod_revision: u64,
    /// What `put` wrote at the start of the value.
    pub(crate) stamp: u64,
}

/// Decodes a WatchResponse; events go to `on_event` with the id of their watch.
#[inline]
pub(crate) fn watch_response<'a>(
    message: &'a [u8],
    mut on_event: impl FnMut(u64, Event),
) -> Result<WatchHead<'a>, Malformed> {
    let mut head = WatchHead::default();
    let mut fields = Fields(message);
    // Fields come in the order of their numbers, so the id is known when the first event comes.
    while let Some(field) = fields.next()? {
        match field {
            Field::Number(2, id) => head.watch_id = id,
            Field::Number(3, flag) => head.created = flag != 0,
            Field::Number(4, flag) => head.canceled = flag != 0,
            Field::Bytes(6, reason) => head.reason = reason,
            Field::Bytes(11, body) => on_event(head.watch_id, event(body)?),
            _ => {}
        }
    }
    Ok(head)
}

#[inline]
fn event(body: &[u8]) -> Result<Event, Malformed> {
    let mut event = Event::default();
    let mut fields = Fields(body);
    while let Some(field) = fields.next()? {
        let Field::Bytes(2, kv) = field else { continue };
        let mut kv = Fields(kv);
        while let Some(field) = kv.next()? {
            match field {
                Field::Number(3, revision) => event.mod_revision = revision,
                Field::Bytes(5, value) => {
                    let stamp = value.first_chunk::<STAMP_LEN>().ok_or(Malformed)?;
                    event.stamp = u64::from_le_bytes(*stamp);
                }
                _ => {}
            }
        }
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn put_is_prefixed_and_readable() {
        let mut out = Vec::new();
        put(&mut out, b"key", 7, &[1; 200]);
        assert_eq!(out[0], 0);
        assert_eq!(
            u32::from_be_bytes(out[1..5].try_into().unwrap()) as usize,
            out.len() - 5
        );
        let mut fields = Fields(&out[5..]);
        assert_eq!(fields.next(), Ok(Some(Field::Bytes(1, b"key"))));
        let Ok(Some(Field::Bytes(2, value))) = fields.next() else {
            panic!("no value")
        };
        assert_eq!((value.len(), value[0]), (208, 7));
        assert_eq!(fields.next(), Ok(None));
    }

    #[test]
    fn watch_response_is_taken_apart() {
        let mut kv = Vec::new();
        bytes(&mut kv, 1, b"w/1");
        number(&mut kv, 3, 42);
        bytes(&mut kv, 5, &99u64.to_le_bytes());
        let mut event = Vec::new();
        bytes(&mut event, 2, &kv);
        let mut body = Vec::new();
        number(&mut body, 2, 3);
        bytes(&mut body, 11, &event);
        bytes(&mut body, 11, &event);
        let mut seen = Vec::new();
        let head = watch_response(&body, |id, e| seen.push((id, e))).unwrap();
        assert_eq!(
            head,
            WatchHead {
                watch_id: 3,
                ..WatchHead::default()
            }
        );
        assert_eq!(seen.len(), 2);
        assert_eq!(
            seen[1],
            (
                3,
                Event {
                    mod_revision: 42,
                    stamp: 99
                }
            )
        );
        for cut in 1..body.len() {
            let _ = watch_response(&body[..cut], |_, _| {});
        }
    }

    #[test]
    fn leader_recognises_itself() {
        let mut header = Vec::new();
        number(&mut header, 2, 11);
        let mut body = Vec::new();
        bytes(&mut body, 1, &header);
        number(&mut body, 4, 11);
        assert_eq!(status_is_leader(&body), Ok(true));
        number(&mut body, 4, 12);
        assert_eq!(status_is_leader(&body), Ok(false));
        assert_eq!(status_is_leader(&[]), Ok(false));
    }

    #[test]
    fn cut_input_is_malformed() {
        assert_eq!(range_len(&[0x12, 5, 1]), Err(Malformed));
        assert_eq!(number_of(&[0xff; 12], 1), Err(Malformed));
        assert_eq!(range_len(&[0x12, 1, 0, 0x12, 0]), Ok(2));
    }
}
