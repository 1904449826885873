//! Reaching a peer by its URLs.

use std::io;

use tokio::time::timeout;

use crate::env::{Env, Io};
use crate::error::Error;
use crate::limits::PEER_HANDSHAKE_TIMEOUT;
use crate::peer::conn::Conn;
use crate::peer::handshake::call_as_stranger;
use crate::peer::message::{Call, RemoteCluster};

/// A peer URL's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerUrl<'a> {
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: &'a str,
    pub port: u16,
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
pub(crate) async fn connect(env: &impl Env, urls: &[String]) -> io::Result<Box<dyn Io>> {
    let mut last = io::Error::other("the member has no peer URL");
    for url in urls {
        let Some(parsed) = parse(url) else {
            last = io::Error::other(format!("{url} is not a peer URL"));
            continue;
        };
        match env.connect(parsed).await {
            Ok(io) => return Ok(io),
            Err(e) => last = io::Error::new(e.kind(), format!("{url}: {e}")),
        }
    }
    Err(last)
}

/// Asks a running cluster who is in it; the first peer that answers decides.
pub async fn fetch_members(env: &impl Env, peer_urls: &[String]) -> Result<RemoteCluster, Error> {
    let mut last = String::from("no peer URL was given");
    for url in peer_urls {
        match timeout(PEER_HANDSHAKE_TIMEOUT, fetch_from(env, url)).await {
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

async fn fetch_from(env: &impl Env, url: &str) -> io::Result<RemoteCluster> {
    let mut io = connect(env, &[url.to_owned()]).await?;
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
