//! Whole messages, read and written.

use super::name::Name;
use super::numbers::{Code, Type};
use super::record::{IN, Record, data};
use super::writer::Writer;

/// Bytes of a header.
pub(crate) const HEADER: usize = 12;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub name: Name,
    pub kind: Type,
    pub class: u16,
}

/// What EDNS adds to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Bytes of the largest datagram that is taken.
    pub payload: u16,
    pub version: u8,
    /// Whether signatures are wanted.
    pub dnssec: bool,
}

/// A message. Records of other classes than IN are left out when it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub id: u16,
    pub flags: Flags,
    pub code: Option<Code>,
    pub queries: Vec<Query>,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
    pub edns: Option<Edns>,
}

/// The second line of a header, without its code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub response: bool,
    /// 0 for questions.
    pub operation: u8,
    pub authoritative: bool,
    pub truncated: bool,
    pub recursion_desired: bool,
    pub recursion_available: bool,
    pub authentic: bool,
    pub checking_disabled: bool,
}

impl Flags {
    fn read(bits: u16) -> Self {
        let has = |bit: u16| bits & bit != 0;
        Self {
            response: has(0x8000),
            operation: u8::try_from(bits >> 11 & 0xf).unwrap_or_default(),
            authoritative: has(0x0400),
            truncated: has(0x0200),
            recursion_desired: has(0x0100),
            recursion_available: has(0x0080),
            authentic: has(0x0020),
            checking_disabled: has(0x0010),
        }
    }

    pub(crate) fn bits(self) -> u16 {
        let bit = |set: bool, bit: u16| if set { bit } else { 0 };
        bit(self.response, 0x8000)
            | u16::from(self.operation & 0xf) << 11
            | bit(self.authoritative, 0x0400)
            | bit(self.truncated, 0x0200)
            | bit(self.recursion_desired, 0x0100)
            | bit(self.recursion_available, 0x0080)
            | bit(self.authentic, 0x0020)
            | bit(self.checking_disabled, 0x0010)
    }
}

impl Message {
    /// A question with a number of its own, to servers that ask others.
    #[must_use]
    pub fn question(query: Query) -> Self {
        Self {
            id: rand::random(),
            flags: Flags {
                recursion_desired: true,
                ..Flags::default()
            },
            queries: vec![query],
            ..Self::default()
        }
    }

    /// None if it is malformed.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader {
            bytes,
            at: 0,
            edns: None,
            high: 0,
        };
        let id = reader.number()?;
        let bits = reader.number()?;
        let counts = [
            reader.number()?,
            reader.number()?,
            reader.number()?,
            reader.number()?,
        ];
        // Each question has five bytes at least, so that counts do not make it ask for memory.
        let mut queries = Vec::new();
        for _ in 0..counts[0] {
            queries.push(reader.query()?);
        }
        let answers = reader.records(counts[1], false)?;
        let authorities = reader.records(counts[2], false)?;
        let additionals = reader.records(counts[3], true)?;
        Some(Self {
            id,
            flags: Flags::read(bits),
            code: Some(Code(u16::from(reader.high) << 4 | bits & 0xf)),
            queries,
            answers,
            authorities,
            additionals,
            edns: reader.edns,
        })
    }

    /// All of it, whatever its size.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new(usize::from(u16::MAX));
        let code = self.code.unwrap_or(Code::NO_ERROR);
        writer.header(self.id, self.flags.bits() | code.0 & 0xf);
        for query in &self.queries {
            writer.query(query);
        }
        for (section, records) in [
            (1, &self.answers),
            (2, &self.authorities),
            (3, &self.additionals),
        ] {
            writer.records(section, records);
        }
        if let Some(edns) = self.edns {
            writer.edns(edns, code);
        }
        writer.finish()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    edns: Option<Edns>,
    /// The part of the code that EDNS adds.
    high: u8,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at + count)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let taken = self.take(2)?.first_chunk::<2>()?;
        Some(u16::from_be_bytes(*taken))
    }

    fn query(&mut self) -> Option<Query> {
        Some(Query {
            name: Name::read(self.bytes, &mut self.at)?,
            kind: Type(self.number()?),
            class: self.number()?,
        })
    }

    fn records(&mut self, count: u16, is_last: bool) -> Option<Vec<Record>> {
        let mut records = Vec::new();
        for _ in 0..count {
            let name = Name::read(self.bytes, &mut self.at)?;
            let (kind, class) = (Type(self.number()?), self.number()?);
            let ttl = u32::from_be_bytes(*self.take(4)?.first_chunk::<4>()?);
            let length = usize::from(self.number()?);
            let (from, end) = (self.at, self.at + length);
            self.take(length)?;
            if kind == Type::OPT {
                // One, for the message as a whole (RFC 6891).
                if !is_last || self.edns.is_some() || !name.is_root() {
                    return None;
                }
                let [high, version, flags, _] = ttl.to_be_bytes();
                self.high = high;
                self.edns = Some(Edns {
                    payload: class,
                    version,
                    dnssec: flags & 0x80 != 0,
                });
                continue;
            }
            let data = data(self.bytes, kind, from, end)?;
            if class == IN {
                records.push(Record {
                    name,
                    kind,
                    // Those of more than 31 bits count as none (RFC 2181).
                    ttl: if ttl >> 31 == 0 { ttl } else { 0 },
                    data,
                });
            }
        }
        Some(records)
    }
}
