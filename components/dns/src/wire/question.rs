//! Reading questions.

use super::message::{Edns, HEADER, Message, Query};
use super::name::Name;
use super::numbers::{Code, Type};
use super::record::IN;
use crate::limits::{UDP_ANSWER_MAX, UDP_ANSWER_PLAIN};

/// One question, well formed.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) id: u16,
    pub(crate) recursion_desired: bool,
    pub(crate) checking_disabled: bool,
    /// As it was written: upper and lower case are given back.
    pub(crate) query: Query,
    /// Whether the client speaks EDNS, and how large an answer over UDP it takes.
    pub(crate) edns: Option<Edns>,
}

/// What came is not a question that can be answered.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// No answer at all: it is an answer itself, or not even a header.
    Silence,
    /// An answer without a question in it.
    Malformed(Vec<u8>),
    /// A question that is understood, but not answered.
    Refused(Box<Question>, Code),
}

impl Question {
    pub(crate) fn name(&self) -> &Name {
        &self.query.name
    }

    pub(crate) fn kind(&self) -> Type {
        self.query.kind
    }

    /// Bytes of the largest answer over UDP.
    pub(crate) fn datagram_max(&self) -> u16 {
        self.edns.map_or(UDP_ANSWER_PLAIN, |edns| {
            edns.payload.clamp(UDP_ANSWER_PLAIN, UDP_ANSWER_MAX)
        })
    }

    pub(crate) fn dnssec(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec)
    }
}

/// Reads a question. What counts as malformed, and what as not implemented, is as with CoreDNS.
pub(crate) fn read(bytes: &[u8]) -> Result<Question, Unfit> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Err(Unfit::Silence);
    };
    if header[2] & 0x80 != 0 {
        return Err(Unfit::Silence);
    }
    if header[2] >> 3 & 0xf != 0 {
        return Err(bare(header, Code::NOT_IMP));
    }
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if count(4) != 1 || count(6) > 1 || count(8) > 1 || count(10) > 2 {
        return Err(bare(header, Code::FORM_ERR));
    }
    let message = Message::read(bytes);
    let read = message.and_then(|mut message| Some((message.queries.pop()?, message)));
    let Some((query, message)) = read else {
        return Err(bare(header, Code::FORM_ERR));
    };
    let question = Question {
        id: message.id,
        recursion_desired: message.flags.recursion_desired,
        checking_disabled: message.flags.checking_disabled,
        query,
        edns: message.edns,
    };
    let refused = if question.edns.is_some_and(|edns| edns.version != 0) {
        Some(Code::BAD_VERS)
    } else if question.query.class != IN {
        Some(Code::REFUSED)
    } else {
        match question.kind() {
            // Zones are given to nobody.
            Type::AXFR | Type::IXFR => Some(Code::REFUSED),
            Type::OPT | Type::TSIG | Type::SIG => Some(Code::FORM_ERR),
            _ => None,
        }
    };
    match refused {
        Some(code) => Err(Unfit::Refused(Box::new(question), code)),
        None => Ok(question),
    }
}

/// A header alone: id, operation and "recursion desired" as they came.
fn bare(header: &[u8; HEADER], code: Code) -> Unfit {
    let mut answer = vec![0; HEADER];
    answer[..2].copy_from_slice(&header[..2]);
    answer[2] = 0x80 | (header[2] & 0x79);
    answer[3] = u8::try_from(code.0 & 0xf).unwrap_or_default();
    Unfit::Malformed(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question for `a.` of type A, class IN.
    const GOOD: &[u8] = &[7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1];

    fn with(at: usize, byte: u8) -> Vec<u8> {
        let mut bytes = GOOD.to_vec();
        bytes[at] = byte;
        bytes
    }

    #[test]
    fn what_is_no_question_gets_the_right_error_or_silence() {
        assert_eq!(read(GOOD).expect("it is fine").name().to_string(), "a.");
        for (what, bytes, code) in [
            ("nothing", vec![], None),
            ("half a header", GOOD[..11].to_vec(), None),
            ("an answer", with(2, 0x81), None),
            ("an update", with(2, 5 << 3), Some(4)),
            ("a notice", with(2, 4 << 3), Some(4)),
            ("no question", with(5, 0), Some(1)),
            ("two questions", with(5, 2), Some(1)),
            ("a question cut short", GOOD[..15].to_vec(), Some(1)),
            ("many records", with(11, 3), Some(1)),
            ("a record that is not there", with(11, 1), Some(1)),
            ("a name that points to itself", with(12, 0xc0), Some(1)),
        ] {
            let answer = match read(&bytes) {
                Err(Unfit::Malformed(answer)) => Some(answer),
                Err(Unfit::Silence) => None,
                other => panic!("{what}: {other:?}"),
            };
            assert_eq!(answer.as_ref().map(|a| a[3]), code, "{what}");
            assert!(answer.is_none_or(|a| a[..2] == [7, 8] && a[2] & 0x80 != 0 && a.len() == 12));
        }
    }

    #[test]
    fn what_is_understood_and_not_answered_is_refused() {
        for (what, bytes, code) in [
            ("class CHAOS", with(18, 3), Code::REFUSED),
            ("a transfer", with(16, 252), Code::REFUSED),
            ("a question for OPT", with(16, 41), Code::FORM_ERR),
        ] {
            match read(&bytes) {
                Err(Unfit::Refused(_, got)) => assert_eq!(got, code, "{what}"),
                other => panic!("{what}: {other:?}"),
            }
        }
        let mut newer = with(11, 1);
        newer.extend([0, 0, 41, 4, 0, 0, 1, 0, 0, 0, 0]);
        let newer = read(&newer);
        assert!(matches!(newer, Err(Unfit::Refused(_, Code::BAD_VERS))));
    }

    #[test]
    fn clients_say_how_large_an_answer_may_be() {
        for (said, max) in [
            (None, 512),
            (Some(100), 512),
            (Some(800), 800),
            (Some(9000), 1232),
        ] {
            let mut bytes = GOOD.to_vec();
            if let Some(said) = said {
                let said: u16 = said;
                bytes[11] = 1;
                bytes.extend([0, 0, 41]);
                bytes.extend(said.to_be_bytes());
                bytes.extend([0; 6]);
            }
            assert_eq!(read(&bytes).expect("it is fine").datagram_max(), max);
        }
    }
}
