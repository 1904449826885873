//! Which other servers there are.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::limits::UPSTREAMS_MAX;

/// The port of DNS.
const PORT: u16 = 53;

/// What was given is no server.
#[derive(Debug, thiserror::Error)]
pub enum BadUpstream {
    #[error("{0:?} is neither an address nor a file such as /etc/resolv.conf")]
    Address(String),
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    #[error("more than {UPSTREAMS_MAX} servers")]
    TooMany,
}

/// The servers that `given` names: addresses, with or without a port, and files in the form of `resolv.conf`.
/// Those at which this process listens itself are left out.
///
/// # Errors
/// When something given is neither, or cannot be read.
pub fn upstreams(given: &[String], own: &[SocketAddr]) -> Result<Vec<SocketAddr>, BadUpstream> {
    let mut all = Vec::new();
    for one in given {
        if let Some(address) = address(one) {
            all.push(address);
        } else if one.contains('/') {
            let text = std::fs::read_to_string(Path::new(one));
            let text = text.map_err(|error| BadUpstream::File(one.clone(), error))?;
            all.extend(name_servers(&text));
        } else {
            return Err(BadUpstream::Address(one.clone()));
        }
    }
    let mut kept = Vec::new();
    for address in all {
        if own.iter().any(|own| is_same(*own, address)) {
            tracing::warn!(%address, "this server itself is among those it would ask: it is left out");
        } else if !kept.contains(&address) {
            kept.push(address);
        }
    }
    match kept.len() {
        0..=UPSTREAMS_MAX => Ok(kept),
        _ => Err(BadUpstream::TooMany),
    }
}

fn address(text: &str) -> Option<SocketAddr> {
    let plain = text.parse::<IpAddr>().ok();
    plain
        .map(|address| SocketAddr::new(address, PORT))
        .or_else(|| text.parse().ok())
}

fn name_servers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    // A zone, as in fe80::1%eth0, has no meaning here.
    let addresses = lines.filter_map(|word| word.parse::<IpAddr>().ok());
    addresses
        .map(|address| SocketAddr::new(address, PORT))
        .collect()
}

/// Whether who listens at `own` hears what is sent to `address`, as far as that can be told.
fn is_same(own: SocketAddr, address: SocketAddr) -> bool {
    let everywhere = own.ip().is_unspecified() && address.ip().is_loopback();
    own.port() == address.port() && (own.ip() == address.ip() || everywhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses_or_files() {
        let dir = tempfile::tempdir().expect("there is room");
        let file = dir.path().join("resolv.conf");
        let text = "# nameserver 192.0.2.9\nsearch a b\nnameserver 192.0.2.1\n\
                    nameserver\t2001:db8::1\nnameserver 127.0.0.1\nnameserver nonsense\noptions ndots:5\n";
        std::fs::write(&file, text).expect("it is written");
        let file = file.display().to_string();
        let own: SocketAddr = "0.0.0.0:53".parse().expect("it is one");
        let found = upstreams(&[file, "192.0.2.7:5353".to_owned()], &[own]);
        let found: Vec<String> = found
            .expect("all is fine")
            .iter()
            .map(|a| a.to_string())
            .collect();
        assert_eq!(
            found,
            ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.7:5353"]
        );
        for bad in ["nonsense", "/there/is/none"] {
            assert!(upstreams(&[bad.to_owned()], &[]).is_err(), "{bad}");
        }
    }
}
