//! The protobuf wire format: writing fields, and reading them from bytes that nobody vouches for.

/// How a value is laid out.
pub(crate) const VARINT: u8 = 0;
pub(crate) const LENGTH: u8 = 2;

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, layout: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(layout));
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, LENGTH);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A field whose contents `write` appends. They are written in place and moved once their length is known.
pub(crate) fn put_message(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put_tag(out, number, LENGTH);
    let start = out.len();
    // One byte for the length is right for most messages; longer ones move their contents.
    out.push(0);
    write(out);
    let length = out.len() - start - 1;
    let mut prefix = Vec::with_capacity(10);
    put_varint(&mut prefix, length as u64);
    out.splice(start..=start, prefix);
}
