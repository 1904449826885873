//! Writing messages, with names that have come before in place of their second time.

use super::message::{Edns, HEADER, Query};
use super::name::Name;
use super::numbers::{Code, Type};
use super::record::{IN, Record};

/// Names that later ones can point to.
const POINTED_MAX: usize = 32;
/// A pointer has 14 bits.
const POINTER_MAX: usize = 0x3fff;

/// A message that grows up to a size.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    max: usize,
    /// Where names, and parts of names, begin.
    pointed: Vec<usize>,
}

impl Writer {
    /// At most `max` bytes of header, question and records.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(max.min(512)),
            max,
            pointed: Vec::new(),
        }
    }

    pub(crate) fn header(&mut self, id: u16, flags: u16) {
        self.bytes.extend(id.to_be_bytes());
        self.bytes.extend(flags.to_be_bytes());
        self.bytes.resize(HEADER, 0);
    }

    pub(crate) fn query(&mut self, query: &Query) {
        self.name(&query.name);
        self.number(query.kind.0);
        self.number(query.class);
        self.count(0, 1);
    }

    /// Writes records into section 1, 2 or 3, as many as fit. Whether all did.
    pub(crate) fn records(&mut self, section: usize, records: &[Record]) -> bool {
        let mut written = 0;
        for record in records {
            let (before, pointed) = (self.bytes.len(), self.pointed.len());
            if self.record(record).is_none() || self.bytes.len() > self.max {
                self.bytes.truncate(before);
                self.pointed.truncate(pointed);
                self.count(section, written);
                return false;
            }
            written += 1;
        }
        self.count(section, written);
        true
    }

    /// Writes an OPT record, for which there must be room.
    pub(crate) fn edns(&mut self, edns: Edns, code: Code) {
        self.bytes.push(0);
        self.number(Type::OPT.0);
        self.number(edns.payload);
        let high = u8::try_from(code.0 >> 4).unwrap_or_default();
        let flags = if edns.dnssec { 0x80 } else { 0 };
        self.bytes.extend([high, edns.version, flags, 0, 0, 0]);
        self.count(3, 1);
    }

    /// Says that records are missing.
    pub(crate) fn truncated(&mut self) {
        self.bytes[2] |= 0x02;
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn number(&mut self, number: u16) {
        self.bytes.extend(number.to_be_bytes());
    }

    /// Adds to the count of a section.
    fn count(&mut self, section: usize, more: u16) {
        let at = 4 + 2 * section;
        let before = u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
        let count = before.saturating_add(more);
        self.bytes[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }

    fn record(&mut self, record: &Record) -> Option<()> {
        let length = u16::try_from(record.data.len()).ok()?;
        self.name(&record.name);
        self.number(record.kind.0);
        self.number(IN);
        self.bytes.extend(record.ttl.to_be_bytes());
        self.number(length);
        self.bytes.extend(&record.data[..]);
        Some(())
    }

    /// Writes a name, its end as a pointer if it has come before. Case is kept: other case is another end.
    fn name(&mut self, name: &Name) {
        let mut rest = name.as_bytes();
        while let Some((&length, after)) = rest.split_first() {
            if length == 0 {
                break;
            }
            let found = self.pointed.iter().find(|at| self.ends_here(**at, rest));
            if let Some(at) = found {
                let pointer = u16::try_from(*at).unwrap_or_default() | 0xc000;
                return self.number(pointer);
            }
            let here = self.bytes.len();
            if self.pointed.len() < POINTED_MAX && here <= POINTER_MAX {
                self.pointed.push(here);
            }
            let length = usize::from(length);
            self.bytes.extend(&rest[..=length]);
            rest = &after[length..];
        }
        self.bytes.push(0);
    }

    /// Whether the name at `at` is `rest`. Only what has been written is looked at: names whose writing is under way
    /// end in what is compared.
    fn ends_here(&self, mut at: usize, mut rest: &[u8]) -> bool {
        loop {
            let Some(&length) = self.bytes.get(at) else {
                return false;
            };
            if length >= 0xc0 {
                let Some(&low) = self.bytes.get(at + 1) else {
                    return false;
                };
                at = usize::from(length & 0x3f) << 8 | usize::from(low);
                continue;
            }
            let count = usize::from(length) + 1;
            let (Some(written), Some(wanted)) = (self.bytes.get(at..at + count), rest.get(..count))
            else {
                return false;
            };
            if written != wanted {
                return false;
            }
            if length == 0 {
                return true;
            }
            at += count;
            rest = &rest[count..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Flags, Message};

    fn name(text: &str) -> Name {
        Name::from_text(text).expect("it is a name")
    }

    fn message(owners: &[&str]) -> Message {
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        Message {
            id: 7,
            flags: Flags::default(),
            code: Some(Code::NO_ERROR),
            queries: vec![Query {
                name: name("www.Example.com"),
                kind: Type::A,
                class: 1,
            }],
            answers: owners
                .iter()
                .map(|owner| Record::address(&name(owner), 5, address))
                .collect(),
            edns: Some(Edns {
                payload: 1232,
                version: 0,
                dnssec: true,
            }),
            ..Message::default()
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for owners in [
            &["www.Example.com"][..],
            &[
                "www.example.com",
                "a.Example.com",
                "a.Example.com",
                "com",
                ".",
            ],
            &["a.a.a.a", "a.a", "a.a.a"],
        ] {
            let message = message(owners);
            let bytes = message.write();
            let read = Message::read(&bytes).expect("it is well formed");
            assert_eq!(read, message);
            let shown = |m: &Message| {
                m.answers
                    .iter()
                    .map(|r| r.name.to_string())
                    .collect::<Vec<_>>()
            };
            assert_eq!(shown(&read), shown(&message), "with its case");
        }
    }

    #[test]
    fn a_name_that_came_before_takes_two_bytes() {
        let one = message(&["www.Example.com"]).write().len();
        let two = message(&["www.Example.com", "www.Example.com"])
            .write()
            .len();
        assert_eq!(two - one, 16);
    }

    #[test]
    fn names_within_data_are_written_out() {
        // A question for a.b, and an MX record whose target points into it.
        let mut bytes = vec![0, 1, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        bytes.extend([1, b'a', 1, b'b', 0, 0, 15, 0, 1]);
        bytes.extend([
            0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 9, 0, 6, 0, 10, 1, b'm', 0xc0, 14,
        ]);
        let read = Message::read(&bytes).expect("it is well formed");
        assert_eq!(read.answers[0].data[..], [0, 10, 1, b'm', 1, b'b', 0]);
        let again = Message::read(&read.write()).expect("it is well formed");
        assert_eq!(again, read);
        // One byte more than the name has.
        bytes[31] += 1;
        bytes.push(0);
        assert!(Message::read(&bytes).is_none());
    }
}
