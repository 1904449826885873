//! The meaning of a request's headers: only what a gRPC server acts upon is kept.

use crate::route::Route;
use bytes::Bytes;
use std::time::Duration;

/// A header, classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Post,
    Get,
    OtherMethod,
    GrpcPath(Route),
    OtherPath,
    GrpcContent,
    OtherContent,
    /// `grpc-timeout`; `None` when its text is malformed.
    Timeout(Option<Duration>),
    /// Identity or absent compression is not classified.
    Compressed,
    RequireLeader,
    ApiVersion,
    Ignored,
}

/// HTTP method, as far as handlers tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// Anything else, or none.
    #[default]
    Other,
}

/// What a request asks for and under which conditions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) route: Option<Route>,
    /// The path as sent; empty when `route` says it all.
    pub(crate) path: Bytes,
    pub(crate) method: Method,
    /// The content type is gRPC's.
    pub(crate) grpc: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) bad_timeout: bool,
    /// Name of the compression the client applied to its messages.
    pub(crate) encoding: Option<Bytes>,
    pub(crate) require_leader: bool,
    pub(crate) api_version: Option<Bytes>,
}

pub(super) fn classify(name: &[u8], value: &[u8]) -> Kind {
    match name {
        b":method" => match value {
            b"POST" => Kind::Post,
            b"GET" => Kind::Get,
            _ => Kind::OtherMethod,
        },
        b":path" => Route::parse(value).map_or(Kind::OtherPath, Kind::GrpcPath),
        b"content-type" => {
            if is_grpc(value) {
                Kind::GrpcContent
            } else {
                Kind::OtherContent
            }
        }
        b"grpc-timeout" => Kind::Timeout(timeout(value)),
        b"grpc-encoding" if value != b"identity" => Kind::Compressed,
        b"hasleader" if value == b"true" => Kind::RequireLeader,
        b"client-api-version" => Kind::ApiVersion,
        _ => Kind::Ignored,
    }
}

impl Head {
    pub(super) fn apply(&mut self, kind: Kind, value: &Bytes) {
        match kind {
            Kind::Post => self.method = Method::Post,
            Kind::Get => self.method = Method::Get,
            Kind::OtherMethod => self.method = Method::Other,
            Kind::GrpcPath(route) => self.route = Some(route),
            Kind::OtherPath => self.path = value.clone(),
            Kind::GrpcContent => self.grpc = true,
            Kind::Timeout(Some(timeout)) => self.timeout = Some(timeout),
            Kind::Timeout(None) => self.bad_timeout = true,
            Kind::Compressed => self.encoding = Some(value.clone()),
            Kind::RequireLeader => self.require_leader = true,
            Kind::ApiVersion => self.api_version = Some(value.clone()),
            Kind::OtherContent | Kind::Ignored => {}
        }
    }
}

/// `application/grpc`, optionally followed by a suffix or parameters, as grpc-go accepts it.
fn is_grpc(value: &[u8]) -> bool {
    const BASE: &[u8] = b"application/grpc";
    value.len() >= BASE.len()
        && value[..BASE.len()].eq_ignore_ascii_case(BASE)
        && matches!(value.get(BASE.len()), None | Some(b'+' | b';'))
}

/// At most eight digits and a unit.
fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let n = digits
        .iter()
        .fold(0u64, |n, d| n * 10 + u64::from(d - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(n * 3600),
        b'M' => Duration::from_secs(n * 60),
        b'S' => Duration::from_secs(n),
        b'm' => Duration::from_millis(n),
        b'u' => Duration::from_micros(n),
        b'n' => Duration::from_nanos(n),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        for good in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;x=y",
        ] {
            assert_eq!(
                classify(b"content-type", good.as_bytes()),
                Kind::GrpcContent,
                "{good}"
            );
        }
        for bad in [
            "application/grpcx",
            "application/json",
            "application/grp",
            "",
        ] {
            assert_eq!(
                classify(b"content-type", bad.as_bytes()),
                Kind::OtherContent,
                "{bad}"
            );
        }
    }

    #[test]
    fn timeouts() {
        assert_eq!(
            timeout(b"99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
        assert_eq!(timeout(b"250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout(b"5S"), Some(Duration::from_secs(5)));
        for bad in ["", "S", "123456789S", "1x", "-1S", "1.5S"] {
            assert_eq!(timeout(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_head_keeps_only_what_matters() {
        let mut head = Head::default();
        for (name, value) in [
            (":method", "POST"),
            (":path", "/etcdserverpb.KV/Put"),
            ("content-type", "application/grpc"),
            ("user-agent", "grpc-go/1.70"),
            ("grpc-timeout", "1S"),
            ("hasleader", "true"),
            ("grpc-encoding", "gzip"),
        ] {
            let value = Bytes::from(value);
            head.apply(classify(name.as_bytes(), &value), &value);
        }
        assert_eq!(head.route, Some(Route::Put));
        assert!(head.path.is_empty() && head.grpc && head.require_leader);
        assert_eq!(head.encoding.as_deref(), Some(&b"gzip"[..]));
        assert_eq!(head.timeout, Some(Duration::from_secs(1)));
    }
}
