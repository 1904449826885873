//! The URLs of etcd's flags: `http`, `https`, `unix` and `unixs`, with etcd's rules and messages.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// A URL as a flag gives it. Its text is kept as etcd prints it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenUrl {
    /// Whether the scheme asks for TLS.
    pub tls: bool,
    /// Where it points.
    pub address: Address,
    /// The text, scheme and host in the form given.
    pub text: String,
}

/// What a URL points at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// Host and port.
    Tcp {
        /// A name or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A socket file.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not one of the four schemes.
    #[error("URL scheme must be http, https, unix, or unixs: {0}")]
    Scheme(String),
    /// No port, or no host.
    #[error("URL address does not have the form \"host:port\": {0}")]
    HostPort(String),
    /// Something follows the address.
    #[error("URL must not contain a path: {0}")]
    Path(String),
    /// A name where an address to bind is needed.
    #[error("expected IP in URL for binding ({0})")]
    NotAnIp(String),
}

impl ListenUrl {
    /// Parses one URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError::Scheme(text.to_owned()));
        };
        let tls = match scheme {
            "http" | "unix" => false,
            "https" | "unixs" => true,
            _ => return Err(UrlError::Scheme(text.to_owned())),
        };
        let address = if scheme.starts_with("unix") {
            Address::Unix(PathBuf::from(rest))
        } else {
            tcp(rest, text)?
        };
        let text = text.strip_suffix('/').unwrap_or(text).to_owned();
        Ok(Self { tls, address, text })
    }

    /// Parses a comma-separated list, sorted and without repetitions, as etcd keeps it.
    pub fn parse_list(list: &str) -> Result<Vec<Self>, UrlError> {
        let mut urls = list
            .split(',')
            .filter(|text| !text.trim().is_empty())
            .map(Self::parse)
            .collect::<Result<Vec<_>, _>>()?;
        urls.sort_by(|a, b| a.text.cmp(&b.text));
        urls.dedup();
        Ok(urls)
    }

    /// A URL to bind must have an IP address or `localhost`.
    pub fn check_bind(&self) -> Result<(), UrlError> {
        match &self.address {
            Address::Tcp { host, .. } if host == "localhost" || host.parse::<IpAddr>().is_ok() => {
                Ok(())
            }
            Address::Tcp { .. } => Err(UrlError::NotAnIp(self.text.clone())),
            Address::Unix(_) => Ok(()),
        }
    }
}

fn tcp(rest: &str, text: &str) -> Result<Address, UrlError> {
    let malformed = || UrlError::HostPort(text.to_owned());
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if !matches!(path, "" | "/") {
        return Err(UrlError::Path(text.to_owned()));
    }
    let (host, port) = authority.rsplit_once(':').ok_or_else(malformed)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or_else(malformed)?,
        None if host.contains(':') => return Err(malformed()),
        None => host,
    };
    // Go listens on every address when the host is empty.
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let port = port.parse().map_err(|_| malformed())?;
    Ok(Address::Tcp {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls() {
        let url = ListenUrl::parse("https://127.0.0.1:2379/").unwrap();
        assert!(url.tls);
        assert_eq!(url.text, "https://127.0.0.1:2379");
        assert_eq!(url.address.to_string(), "127.0.0.1:2379");
        assert_eq!(
            ListenUrl::parse("http://[::1]:1")
                .unwrap()
                .address
                .to_string(),
            "[::1]:1"
        );
        let unix = ListenUrl::parse("unix:///tmp/s.sock").unwrap();
        assert_eq!(unix.address, Address::Unix("/tmp/s.sock".into()));
        assert_eq!(
            ListenUrl::parse_list("http://b:1,http://a:1,http://b:1")
                .unwrap()
                .len(),
            2
        );
        assert!(ListenUrl::parse_list("").unwrap().is_empty());
    }

    #[test]
    fn bad_urls_are_refused_in_etcds_words() {
        let error = |text: &str| ListenUrl::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("ftp://a:1"),
            "URL scheme must be http, https, unix, or unixs: ftp://a:1"
        );
        assert_eq!(
            error("localhost:1"),
            "URL scheme must be http, https, unix, or unixs: localhost:1"
        );
        assert_eq!(
            error("http://localhost"),
            "URL address does not have the form \"host:port\": http://localhost"
        );
        assert_eq!(
            error("http://a:1/x"),
            "URL must not contain a path: http://a:1/x"
        );
        assert!(error("http://a:70000").contains("host:port"));
        let name = ListenUrl::parse("http://example.com:1").unwrap();
        assert_eq!(
            name.check_bind().unwrap_err().to_string(),
            "expected IP in URL for binding (http://example.com:1)"
        );
    }
}
