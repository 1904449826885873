//! Records, with their data as bytes in which no name is compressed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::name::Name;
use super::numbers::Type;

/// The class of the internet, the only one there is.
pub(crate) const IN: u16 = 1;

/// A record of class IN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: Name,
    pub kind: Type,
    /// Seconds.
    pub ttl: u32,
    pub data: Box<[u8]>,
}

/// What the data of a type is made of, as far as there are names in it (RFC 3597, section 4).
#[derive(Clone, Copy, Debug)]
enum Part {
    Bytes(usize),
    Name,
    /// A length and as many bytes.
    Text,
    Rest,
}

fn layout(kind: Type) -> &'static [Part] {
    use Part::{Bytes, Name, Rest, Text};
    match kind.0 {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME
        2..=5 | 7..=9 | 12 | 39 => &[Name],
        // SOA
        6 => &[Name, Name, Bytes(20)],
        // MINFO, RP
        14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX
        15 | 18 | 21 | 36 => &[Bytes(2), Name],
        // SIG, RRSIG
        24 | 46 => &[Bytes(18), Name, Rest],
        // PX
        26 => &[Bytes(2), Name, Name],
        // NXT, NSEC
        30 | 47 => &[Name, Rest],
        // SRV
        33 => &[Bytes(6), Name],
        // NAPTR
        35 => &[Bytes(4), Text, Text, Text, Name],
        // A, AAAA
        1 => &[Bytes(4)],
        28 => &[Bytes(16)],
        _ => &[Rest],
    }
}

/// Data at `from..end` of a message, with its names written out.
pub(crate) fn data(message: &[u8], kind: Type, from: usize, end: usize) -> Option<Box<[u8]>> {
    let mut at = from;
    let mut data = Vec::with_capacity(end.checked_sub(from)?);
    for part in layout(kind) {
        let length = match part {
            Part::Bytes(length) => *length,
            Part::Text => 1 + usize::from(*message.get(at)?),
            Part::Rest => end.checked_sub(at)?,
            Part::Name => {
                data.extend(Name::read(message, &mut at)?.as_bytes());
                continue;
            }
        };
        data.extend(message.get(at..at + length)?);
        at += length;
    }
    (at == end).then(|| data.into_boxed_slice())
}

impl Record {
    fn new(name: &Name, kind: Type, ttl: u32, data: Vec<u8>) -> Self {
        Self {
            name: name.clone(),
            kind,
            ttl,
            data: data.into_boxed_slice(),
        }
    }

    /// A or AAAA.
    #[must_use]
    pub fn address(name: &Name, ttl: u32, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::new(name, Type::A, ttl, address.octets().to_vec()),
            IpAddr::V6(address) => Self::new(name, Type::AAAA, ttl, address.octets().to_vec()),
        }
    }

    /// A type whose data is one name: CNAME, NS, PTR.
    #[must_use]
    pub fn pointing(name: &Name, kind: Type, ttl: u32, to: &Name) -> Self {
        Self::new(name, kind, ttl, to.as_bytes().to_vec())
    }

    /// SRV, with priority 0.
    #[must_use]
    pub fn service(name: &Name, ttl: u32, weight: u16, port: u16, target: &Name) -> Self {
        let mut data = vec![0, 0];
        data.extend(weight.to_be_bytes());
        data.extend(port.to_be_bytes());
        data.extend(target.as_bytes());
        Self::new(name, Type::SRV, ttl, data)
    }

    /// TXT; at most 255 bytes of text.
    #[must_use]
    pub fn text(name: &Name, ttl: u32, text: &str) -> Self {
        let text = text.as_bytes();
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        let mut data = vec![length];
        data.extend(&text[..text.len().min(length.into())]);
        Self::new(name, Type::TXT, ttl, data)
    }

    /// SOA, with CoreDNS' times; `minimum` is for how many seconds it counts that something is not there.
    #[must_use]
    pub fn soa(zone: &Name, server: &Name, mailbox: &Name, serial: u32, minimum: u32) -> Self {
        let mut data = server.as_bytes().to_vec();
        data.extend(mailbox.as_bytes());
        for number in [serial, 7_200, 1_800, 86_400, minimum] {
            data.extend(number.to_be_bytes());
        }
        Self::new(zone, Type::SOA, minimum, data)
    }

    /// Of an SOA: see [`Record::soa`].
    #[must_use]
    pub fn minimum(&self) -> Option<u32> {
        let last = self.data.last_chunk::<4>()?;
        (self.kind == Type::SOA).then(|| u32::from_be_bytes(*last))
    }

    /// Of a CNAME: what it is an alias of.
    #[must_use]
    pub fn alias(&self) -> Option<Name> {
        match self.kind {
            Type::CNAME => Name::read(&self.data, &mut 0),
            _ => None,
        }
    }
}

/// Its data, as in a file of a zone, for the types that are made here.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = &self.data;
        let name = |at: usize| Name::read(data, &mut { at }).unwrap_or_default();
        match self.kind {
            Type::A => match <[u8; 4]>::try_from(&data[..]) {
                Ok(octets) => write!(f, "{}", Ipv4Addr::from(octets)),
                Err(_) => Err(fmt::Error),
            },
            Type::AAAA => match <[u8; 16]>::try_from(&data[..]) {
                Ok(octets) => write!(f, "{}", Ipv6Addr::from(octets)),
                Err(_) => Err(fmt::Error),
            },
            Type::CNAME | Type::NS | Type::PTR => write!(f, "{}", name(0)),
            Type::SRV if data.len() > 6 => {
                let number = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
                write!(f, "{} {} {} {}", number(0), number(2), number(4), name(6))
            }
            Type::SOA => {
                let mut at = 0;
                let server = Name::read(data, &mut at).unwrap_or_default();
                let minimum = self.minimum().unwrap_or_default();
                write!(f, "{server} {} {minimum}", name(at))
            }
            Type::TXT => {
                let text = data.get(1..).unwrap_or_default();
                write!(f, "{}", String::from_utf8_lossy(text))
            }
            _ => write!(f, "{data:?}"),
        }
    }
}
