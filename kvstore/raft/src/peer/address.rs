//! Reaching a peer by its URLs.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::PeerTls;
use crate::error::Error;
use crate::limits::{PEER_CONNECT_TIMEOUT, PEER_HANDSHAKE_TIMEOUT};
use crate::peer::conn::Conn;
use crate::peer::handshake::call_as_stranger;
use crate::peer::message::{Call, RemoteCluster};

/// A connected byte stream, plain or TLS.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A peer URL's parts.
#[derive(Debug, PartialEq, Eq)]
struct PeerUrl<'a> {
    tls: bool,
    host: &'a str,
    port: u16,
}

fn parse(url: &str) -> Option<PeerUrl<'_>> {
    let (tls, rest) = match url.split_once("://")? {
        ("http", rest) => (false, rest),
        ("https", rest) => (true, rest),
        _ => return None,
    };
    let authority = rest.trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return None;
    }
    Some(PeerUrl {
        tls,
        host,
        port: port.parse().ok()?,
    })
}

/// Whether a URL is one a peer can be reached at.
pub(crate) fn is_peer_url(url: &str) -> bool {
    parse(url).is_some()
}

/// Connects to the first of the URLs that answers.
pub(crate) async fn connect(urls: &[String], tls: Option<&PeerTls>) -> io::Result<Box<dyn Io>> {
    let mut last = io::Error::other("the member has no peer URL");
    for url in urls {
        let Some(parsed) = parse(url) else {
            last = io::Error::other(format!("{url} is not a peer URL"));
            continue;
        };
        match connect_one(&parsed, tls).await {
            Ok(io) => return Ok(io),
            Err(e) => last = io::Error::new(e.kind(), format!("{url}: {e}")),
        }
    }
    Err(last)
}

async fn connect_one(url: &PeerUrl<'_>, tls: Option<&PeerTls>) -> io::Result<Box<dyn Io>> {
    let tcp = timeout(
        PEER_CONNECT_TIMEOUT,
        TcpStream::connect((url.host, url.port)),
    )
    .await
    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    tcp.set_nodelay(true)?;
    if !url.tls {
        return Ok(Box::new(tcp));
    }
    let tls = tls.ok_or_else(|| {
        io::Error::other("the peer wants TLS and this member has no peer certificates")
    })?;
    let name = ServerName::try_from(url.host.to_owned()).map_err(io::Error::other)?;
    let connecting = TlsConnector::from((tls.client)()).connect(name, tcp);
    let stream = timeout(PEER_HANDSHAKE_TIMEOUT, connecting)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(Box::new(stream))
}

/// Asks a running cluster who is in it; the first peer that answers decides.
pub async fn fetch_members(
    peer_urls: &[String],
    tls: Option<&PeerTls>,
) -> Result<RemoteCluster, Error> {
    let mut last = String::from("no peer URL was given");
    for url in peer_urls {
        match timeout(PEER_HANDSHAKE_TIMEOUT, fetch_from(url, tls)).await {
            Ok(Ok(cluster)) if !cluster.members.is_empty() => return Ok(cluster),
            Ok(Ok(_)) => last = format!("{url} knows no members yet"),
            Ok(Err(e)) => last = e.to_string(),
            Err(_) => last = format!("{url} did not answer in time"),
        }
    }
    Err(Error::Fatal(format!(
        "cannot fetch cluster info from peer urls: {last}"
    )))
}

async fn fetch_from(url: &str, tls: Option<&PeerTls>) -> io::Result<RemoteCluster> {
    let mut io = connect(&[url.to_owned()], tls).await?;
    call_as_stranger(&mut io).await?;
    let conn = Conn::start(io, None);
    let body = conn
        .call(Call::Members, bytes::Bytes::new())
        .await
        .map_err(io::Error::other)?;
    RemoteCluster::decode(body).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_parse_as_etcd_takes_them() {
        assert_eq!(
            parse("http://10.0.0.1:2380"),
            Some(PeerUrl {
                tls: false,
                host: "10.0.0.1",
                port: 2380
            })
        );
        assert_eq!(
            parse("https://[::1]:2380/"),
            Some(PeerUrl {
                tls: true,
                host: "::1",
                port: 2380
            })
        );
        for bad in [
            "",
            "10.0.0.1:2380",
            "ftp://a:1",
            "http://a",
            "http://:1",
            "http://a:x",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
