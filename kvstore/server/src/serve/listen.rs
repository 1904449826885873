//! Binding the listeners before anything else starts, so that a busy port is one clear line.

use crate::urls::{Address, ListenUrl};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

const BACKLOG: i32 = 4096;

/// What a listener offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// gRPC and HTTP on one port.
    Everything,
    /// gRPC only: HTTP has its own listeners.
    Grpc,
    /// HTTP only.
    Http,
    /// Metrics and health only.
    Metrics,
}

/// A listener and how its connections are served.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) role: Role,
    pub(crate) plain: bool,
    pub(crate) tls: bool,
    pub(crate) socket: Listening,
    /// As in the flag, for messages.
    pub(crate) address: String,
}

impl Bound {
    /// Another handle of the same listener, for whoever takes over from this one.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let socket = match &self.socket {
            Listening::Tcp(socket) => Listening::Tcp(socket.try_clone()?),
            Listening::Unix(socket) => Listening::Unix(socket.try_clone()?),
        };
        let address = self.address.clone();
        Ok(Self {
            socket,
            address,
            ..*self
        })
    }
}

/// The socket itself.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: String,
    source: io::Error,
}

/// Socket options. The address is always reused, as Go does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reuse {
    pub(crate) port: bool,
}

/// Binds all URLs; those that differ only in their scheme share a listener.
pub(crate) fn bind(urls: &[(Role, ListenUrl)], reuse: Reuse) -> Result<Vec<Bound>, BindError> {
    let mut groups: BTreeMap<Address, (Role, bool, bool)> = BTreeMap::new();
    for (role, url) in urls {
        let entry = groups
            .entry(url.address.clone())
            .or_insert((*role, false, false));
        if entry.0 != *role {
            entry.0 = Role::Everything;
        }
        if url.tls {
            entry.2 = true;
        } else {
            entry.1 = true;
        }
    }
    groups
        .into_iter()
        .map(|(address, (role, plain, tls))| {
            let name = address.to_string();
            let socket = listen(&address, reuse).map_err(|source| BindError {
                address: name.clone(),
                source,
            })?;
            Ok(Bound {
                role,
                plain,
                tls,
                socket,
                address: name,
            })
        })
        .collect()
}

/// Binds the peer URLs; they are served by the Raft crate.
pub(crate) fn bind_peers(urls: &[ListenUrl], reuse: Reuse) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for url in urls {
        let failed = |source| BindError {
            address: url.address.to_string(),
            source,
        };
        match listen(&url.address, reuse).map_err(failed)? {
            Listening::Tcp(listener) => listeners.push(listener),
            Listening::Unix(_) => {
                return Err(failed(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "peers cannot use unix sockets",
                )));
            }
        }
    }
    Ok(listeners)
}

fn listen(address: &Address, reuse: Reuse) -> io::Result<Listening> {
    match address {
        Address::Tcp { host, port } => {
            let ip = match host.as_str() {
                "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
                host => host.parse().map_err(|_| {
                    io::Error::new(io::ErrorKind::InvalidInput, "not an IP address")
                })?,
            };
            tcp(SocketAddr::new(ip, *port), reuse).map(Listening::Tcp)
        }
        Address::Unix(path) => {
            // A socket file left by an earlier run would make the bind fail, as would a live one: ask.
            if std::os::unix::net::UnixStream::connect(path).is_err() {
                let _ = std::fs::remove_file(path);
            }
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            Ok(Listening::Unix(listener))
        }
    }
}

fn tcp(address: SocketAddr, reuse: Reuse) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Go sets it on every listener: a restart must not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    if reuse.port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> ListenUrl {
        ListenUrl::parse(text).unwrap()
    }

    #[test]
    fn schemes_share_a_listener_and_a_busy_port_is_named() {
        let urls = [
            (Role::Everything, url("http://127.0.0.1:0")),
            (Role::Everything, url("https://127.0.0.1:0")),
        ];
        let bound = bind(&urls, Reuse::default()).unwrap();
        assert_eq!(bound.len(), 1);
        assert!(bound[0].plain && bound[0].tls);
        let Listening::Tcp(listener) = &bound[0].socket else {
            panic!("tcp expected")
        };
        let busy = listener.local_addr().unwrap();
        let error = bind(
            &[(Role::Http, url(&format!("http://{busy}")))],
            Reuse::default(),
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.starts_with(&format!("cannot listen on {busy}: ")),
            "{error}"
        );
        assert!(error.contains("in use"), "{error}");
    }
}
