//! Accepting sockets and handing each to the serving thread with the fewest connections.
//!
//! One acceptor balances better than a listener per thread with `SO_REUSEPORT`, whose hashing may put most of a few
//! long-lived client connections on one thread.

use super::listen::{Bound, Listening, Role};
use crate::limits::ACCEPT_RETRY_PAUSE;
use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::mpsc;

/// An accepted socket on its way to a serving thread.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: Socket,
    pub(super) role: Role,
    pub(super) plain: bool,
    pub(super) tls: bool,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The way to one serving thread.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) queue: mpsc::Sender<Accepted>,
    pub(super) open: Arc<AtomicUsize>,
}

enum Async {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// Accepts until the lanes close.
pub(super) async fn run(bound: Bound, lanes: Vec<Lane>) -> io::Result<()> {
    let listener = match bound.socket {
        Listening::Tcp(socket) => Async::Tcp(tokio::net::TcpListener::from_std(socket)?),
        Listening::Unix(socket) => Async::Unix(tokio::net::UnixListener::from_std(socket)?),
    };
    let mut next = 0usize;
    loop {
        let socket = match accept(&listener).await {
            Ok(socket) => socket,
            Err(error) if is_transient(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, address = bound.address, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_PAUSE).await;
                continue;
            }
        };
        next = next.wrapping_add(1);
        let count = lanes.len();
        // Ties go round.
        let Some(lane) = (0..count)
            .map(|i| &lanes[(next + i) % count])
            .min_by_key(|lane| lane.open.load(Relaxed))
        else {
            return Ok(());
        };
        let accepted = Accepted {
            socket,
            role: bound.role,
            plain: bound.plain,
            tls: bound.tls,
        };
        if lane.queue.send(accepted).await.is_err() {
            return Ok(());
        }
    }
}

async fn accept(listener: &Async) -> io::Result<Socket> {
    match listener {
        Async::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // Dead peers are noticed even where gRPC's own pings are off.
            socket2::SockRef::from(&stream).set_keepalive(true)?;
            Ok(Socket::Tcp(stream.into_std()?))
        }
        Async::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0.into_std()?)),
    }
}

/// The connection failed, not the listener.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    )
}
