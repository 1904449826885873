//! gRPC over HTTP/2: status codes, message framing and the encoding of status texts.

use std::borrow::Cow;

/// Bytes before every message: a compression flag and a big-endian length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Status codes of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Code {
    Ok = 0,
    Canceled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    pub(crate) const COUNT: usize = 17;

    /// The name grpc-go prints and the metrics use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Canceled => "Canceled",
            Self::Unknown => "Unknown",
            Self::InvalidArgument => "InvalidArgument",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::PermissionDenied => "PermissionDenied",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::FailedPrecondition => "FailedPrecondition",
            Self::Aborted => "Aborted",
            Self::OutOfRange => "OutOfRange",
            Self::Unimplemented => "Unimplemented",
            Self::Internal => "Internal",
            Self::Unavailable => "Unavailable",
            Self::DataLoss => "DataLoss",
            Self::Unauthenticated => "Unauthenticated",
        }
    }

    pub(crate) fn all() -> [Self; Self::COUNT] {
        use Code::*;
        [
            Ok,
            Canceled,
            Unknown,
            InvalidArgument,
            DeadlineExceeded,
            NotFound,
            AlreadyExists,
            PermissionDenied,
            ResourceExhausted,
            FailedPrecondition,
            Aborted,
            OutOfRange,
            Unimplemented,
            Internal,
            Unavailable,
            DataLoss,
            Unauthenticated,
        ]
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    /// The code.
    pub(crate) code: Code,
    /// The text, unencoded.
    pub(crate) message: Cow<'static, str>,
}

impl Status {
    pub(crate) const OK: Self = Self::fixed(Code::Ok, "");

    /// A status with a constant text.
    pub(crate) const fn fixed(code: Code, message: &'static str) -> Self {
        Self {
            code,
            message: Cow::Borrowed(message),
        }
    }

    /// A status with a composed text.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: Cow::Owned(message.into()),
        }
    }
}

impl std::fmt::Display for Status {
    /// As grpc-go prints an error.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "rpc error: code = {} desc = {}",
            self.code.name(),
            self.message
        )
    }
}

/// Percent-encodes everything outside printable ASCII, and `%` itself.
pub(crate) fn encode_message(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| (0x20..=0x7e).contains(&b) && b != b'%';
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Cow::Owned(out)
}

/// Appends the prefix of an uncompressed message of `len` bytes.
pub(crate) fn prefix(out: &mut Vec<u8>, len: usize) {
    out.push(0);
    out.extend_from_slice(&(len as u32).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_percent_encoded_byte_by_byte() {
        assert_eq!(
            encode_message("etcdserver: no leader"),
            "etcdserver: no leader"
        );
        assert_eq!(encode_message("100% \u{e9}\n"), "100%25 %C3%A9%0A");
    }

    #[test]
    fn codes_are_numbered_as_in_the_protocol() {
        for (index, code) in Code::all().into_iter().enumerate() {
            assert_eq!(code as usize, index);
        }
    }

    #[test]
    fn a_status_prints_like_grpc_go() {
        let status = Status::fixed(Code::PermissionDenied, "etcdserver: permission denied");
        assert_eq!(
            status.to_string(),
            "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
        );
    }
}
