//! Questions over UDP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::available_parallelism;

use futures_util::future::join_all;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::resolver::{Origin, Outcome, Resolver};
use crate::figures::Transport;
use crate::limits::{UDP_QUESTION_MAX, UDP_TURN, UDP_WAITING_BYTES, UDP_WORKERS_MAX};

/// Several sockets at one address: the kernel spreads clients over them.
#[derive(Debug)]
pub(crate) struct UdpSockets {
    sockets: Vec<Arc<UdpSocket>>,
    pub(crate) address: SocketAddr,
}

impl UdpSockets {
    /// Port 0 for any one that is free.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let workers = available_parallelism().map_or(1, usize::from);
        let first = socket(address)?;
        let address = first.local_addr()?;
        let mut sockets = vec![Arc::new(first)];
        for _ in 1..workers.min(UDP_WORKERS_MAX) {
            sockets.push(Arc::new(socket(address)?));
        }
        Ok(Self { sockets, address })
    }
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_reuse_port(true)?;
    // As much as the system permits.
    let _ = socket.set_recv_buffer_size(UDP_WAITING_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Answers until it is dropped.
pub(crate) async fn udp(sockets: UdpSockets, resolver: Arc<Resolver>) {
    let workers = sockets.sockets.into_iter().map(|socket| {
        let resolver = Arc::clone(&resolver);
        async move {
            let worker = tokio::spawn(work(socket, resolver));
            let _abort = AbortOnDrop(worker.abort_handle());
            let _ = worker.await;
        }
    });
    join_all(workers).await;
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn work(socket: Arc<UdpSocket>, resolver: Arc<Resolver>) {
    let mut buffer = vec![0; UDP_QUESTION_MAX];
    loop {
        if let Err(error) = socket.readable().await {
            tracing::warn!("a socket for questions: {error}");
            return;
        }
        for _ in 0..UDP_TURN {
            let (length, client) = match socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // A client is gone that was sent an answer before; the next question is another one's.
                Err(_) => continue,
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            let origin = Origin {
                transport: Transport::Udp,
                client,
            };
            match resolver.answer(bytes, origin) {
                Outcome::Silence => {}
                Outcome::Answer(answer) => send(&socket, &answer, client).await,
                // As many as there are permits for.
                Outcome::Later(pending) => {
                    let (socket, resolver) = (Arc::clone(&socket), Arc::clone(&resolver));
                    tokio::spawn(async move {
                        let answer = resolver.finish(*pending).await;
                        send(&socket, &answer, client).await;
                    });
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn send(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    let sent = match socket.try_send_to(answer, client) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            socket.send_to(answer, client).await
        }
        sent => sent,
    };
    if let Err(error) = sent {
        tracing::debug!(%client, "an answer was not sent: {error}");
    }
}
