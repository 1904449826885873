//! Writing answers.

use super::message::{Edns, Flags};
use super::numbers::Code;
use super::question::Question;
use super::record::Record;
use super::writer::Writer;
use crate::limits::UDP_ANSWER_MAX;

/// Bytes of an OPT record without options.
const OPT: u16 = 11;

/// What is said to a question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Content {
    pub(crate) code: Code,
    /// Whether it is ours to say.
    pub(crate) authoritative: bool,
    pub(crate) authentic: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

impl Content {
    /// Nothing but a code.
    pub(crate) fn code(code: Code) -> Self {
        Self {
            code,
            authoritative: false,
            authentic: false,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
        }
    }
}

/// An answer, as bytes.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) code: Code,
}

impl Reply {
    /// Writes an answer of at most `max` bytes. What does not fit is left out: first what was not asked for, then
    /// answers, which the client is told.
    pub(crate) fn new(question: &Question, content: &Content, max: u16) -> Self {
        let flags = Flags {
            response: true,
            operation: 0,
            authoritative: content.authoritative,
            truncated: false,
            recursion_desired: question.recursion_desired,
            recursion_available: true,
            authentic: content.authentic,
            checking_disabled: question.checking_disabled,
        };
        let room = max - question.edns.map_or(0, |_| OPT);
        let mut writer = Writer::new(room.into());
        writer.header(question.id, flags.bits() | content.code.0 & 0xf);
        writer.query(&question.query);
        let whole = writer.records(1, &content.answers) && writer.records(2, &content.authorities);
        match whole {
            // As many as there is room for; nobody has asked for them.
            true => _ = writer.records(3, &content.additionals),
            false => writer.truncated(),
        }
        if let Some(edns) = question.edns {
            let own = Edns {
                payload: UDP_ANSWER_MAX,
                version: 0,
                dnssec: edns.dnssec,
            };
            writer.edns(own, content.code);
        }
        Self {
            bytes: writer.finish(),
            code: content.code,
        }
    }
}
