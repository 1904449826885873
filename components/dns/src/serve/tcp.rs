//! Questions over TCP: many on one connection, answered as they are ready.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mainstay_client::accept_each;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::resolver::{Origin, Outcome, Pending, Resolver};
use crate::figures::Transport;
use crate::limits::{TCP_CONNECTIONS_MAX, TCP_IDLE_MAX, TCP_QUESTIONS_MAX, TCP_WRITE_TIMEOUT};

/// Accepts connections until it is dropped, which ends all of them.
pub(crate) async fn tcp(listener: TcpListener, resolver: Arc<Resolver>) {
    accept_each(listener, TCP_CONNECTIONS_MAX, |stream, client| {
        let resolver = Arc::clone(&resolver);
        async move {
            // Clients go as they like.
            let _ = connection(stream, client, &resolver).await;
        }
    })
    .await;
}

async fn connection(stream: TcpStream, client: SocketAddr, resolver: &Resolver) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let origin = Origin {
        transport: Transport::Tcp,
        client,
    };
    let mut read = BytesMut::new();
    let mut pending = FuturesUnordered::new();
    let mut open = true;
    loop {
        // What has come whole is answered first, as far as there is room.
        while pending.len() < TCP_QUESTIONS_MAX {
            let Some(question) = take(&mut read) else {
                break;
            };
            match resolver.answer(&question, origin) {
                Outcome::Answer(answer) => write(&mut writer, &answer).await?,
                Outcome::Later(later) => pending.push(finish(resolver, later)),
                // What says nothing sensible here will not begin to.
                Outcome::Silence => return Ok(()),
            }
        }
        if !open && pending.is_empty() {
            return Ok(());
        }
        let room = open && pending.len() < TCP_QUESTIONS_MAX;
        let is_idle = pending.is_empty();
        tokio::select! {
            Some(answer) = pending.next() => write(&mut writer, &answer).await?,
            more = timeout(TCP_IDLE_MAX, reader.read_buf(&mut read)), if room => match more {
                Ok(count) => open = count? > 0,
                Err(_) if is_idle => return Ok(()),
                Err(_) => {}
            },
        }
    }
}

async fn finish(resolver: &Resolver, pending: Box<Pending>) -> Vec<u8> {
    resolver.finish(*pending).await
}

/// The first question, if it has come whole. A length has two bytes, which bounds what is kept.
fn take(read: &mut BytesMut) -> Option<BytesMut> {
    let length = u16::from_be_bytes(*read.first_chunk::<2>()?);
    let length = usize::from(length);
    if read.len() < length + 2 {
        return None;
    }
    read.advance(2);
    Some(read.split_to(length))
}

async fn write(writer: &mut OwnedWriteHalf, answer: &[u8]) -> io::Result<()> {
    let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(answer.len() + 2);
    framed.extend(length.to_be_bytes());
    framed.extend(answer);
    let written = timeout(TCP_WRITE_TIMEOUT, writer.write_all(&framed)).await;
    written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
