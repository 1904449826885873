//! Where a request is passed on to.

use std::net::{IpAddr, Ipv6Addr};

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::dial::DialError;

/// What Go escapes in a path.
const PATH: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// A place behind this server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Location {
    /// Whether it speaks TLS.
    pub(crate) secure: bool,
    /// A name or an address, without brackets.
    pub(crate) host: String,
    /// As it was asked for; empty for the usual one.
    pub(crate) port: String,
    /// Not escaped.
    pub(crate) path: String,
    /// As it goes over the wire.
    pub(crate) query: String,
}

impl Location {
    /// Host and port, if there is one, as a URL has them.
    pub(crate) fn authority(&self) -> String {
        let host = match self.host.parse::<Ipv6Addr>() {
            Ok(_) => format!("[{}]", self.host),
            Err(_) => self.host.clone(),
        };
        match self.port.as_str() {
            "" => host,
            port => format!("{host}:{port}"),
        }
    }

    pub(crate) fn escaped_path(&self) -> String {
        match self.path.as_str() {
            "" => "/".to_owned(),
            path => utf8_percent_encode(path, &PATH).to_string(),
        }
    }

    /// Path and query as a request's line has them.
    pub(crate) fn target(&self) -> String {
        let path = self.escaped_path();
        match self.query.as_str() {
            "" => path,
            query => format!("{path}?{query}"),
        }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.target())
    }

    /// `Err` for a port that is none.
    pub(crate) fn uri(&self) -> Result<Uri, DialError> {
        self.port_number()?;
        self.url().parse().map_err(|_| DialError::BadUrl)
    }

    pub(crate) fn port_number(&self) -> Result<u16, DialError> {
        match self.port.as_str() {
            "" if self.secure => Ok(443),
            "" => Ok(80),
            port => port
                .parse()
                .map_err(|_| DialError::UnknownPort(port.to_owned())),
        }
    }
}

/// Scheme, name and port, the first and the last of which may be empty, in `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.
pub(crate) fn split(id: &str) -> Option<(&str, &str, &str)> {
    let mut parts = id.split(':');
    let found = match (parts.next()?, parts.next(), parts.next(), parts.next()) {
        (name, None, None, None) => ("", name, ""),
        (name, Some(port), None, None) => ("", name, port),
        (scheme @ ("" | "http" | "https"), Some(name), Some(port), None) => (scheme, name, port),
        _ => return None,
    };
    (!found.1.is_empty()).then_some(found)
}

/// A path from the pieces after a prefix, cleaned as Go cleans paths: no empty pieces, no dots, none above the root.
/// Ends in a slash if that one did. Empty if nothing follows the prefix.
pub(crate) fn cleaned(rest: &str, ends_in_slash: bool) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for piece in rest.split('/') {
        match piece {
            "" | "." => {}
            ".." => drop(kept.pop()),
            piece => kept.push(piece),
        }
    }
    let mut path: String = kept.iter().flat_map(|piece| ["/", piece]).collect();
    let is_root = path.is_empty() && !rest.is_empty();
    if is_root || (ends_in_slash && !path.ends_with('/')) {
        path.push('/');
    }
    path
}

/// Whether what an address stands for may be reached by way of this server: not this machine and its links.
pub(crate) fn is_reachable(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(four) => four.is_link_local() || four.is_broadcast(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    !(link_local || address.is_loopback() || address.is_multicast() || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_named_with_scheme_and_port() {
        let cases = [
            ("a", Some(("", "a", ""))),
            ("a:80", Some(("", "a", "80"))),
            ("https:a:web", Some(("https", "a", "web"))),
            (":a:", Some(("", "a", ""))),
            ("ftp:a:1", None),
            (":80", None),
            ("a:b:c:d", None),
        ];
        for (id, expected) in cases {
            assert_eq!(split(id), expected, "{id}");
        }
    }

    #[test]
    fn paths_stay_below_the_root() {
        let cases = [
            ("", false, ""),
            ("", true, "/"),
            ("a/b", false, "/a/b"),
            ("a/b", true, "/a/b/"),
            ("../../a", false, "/a"),
            ("..", false, "/"),
            ("a//./b", false, "/a/b"),
        ];
        for (rest, slash, expected) in cases {
            assert_eq!(cleaned(rest, slash), expected, "{rest}");
        }
    }

    #[test]
    fn urls_are_escaped_as_go_does() {
        let location = Location {
            secure: true,
            host: "fd00::1".to_owned(),
            port: "10250".to_owned(),
            path: "/a b/ü!?#".to_owned(),
            query: "x=1&y".to_owned(),
        };
        let expected = "https://[fd00::1]:10250/a%20b/%C3%BC%21%3F%23?x=1&y";
        assert_eq!(location.url(), expected);
        assert!(location.uri().is_ok());
        let named = Location {
            port: "web".to_owned(),
            ..location
        };
        assert!(named.uri().is_err());
    }

    #[test]
    fn only_addresses_of_others_are_reached() {
        for (address, expected) in [
            ("10.1.2.3", true),
            ("fd00::1", true),
            ("127.0.0.1", false),
            ("::ffff:127.0.0.1", false),
            ("169.254.169.254", false),
            ("fe80::1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
        ] {
            assert_eq!(
                is_reachable(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
    }
}
