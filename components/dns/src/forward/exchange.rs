//! One question to one server, and its answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::limits::{STRANGE_ANSWERS_MAX, UDP_ANSWER_MAX};
use crate::wire::{Edns, Message, Name, Query, Question, Type};

/// Asks a server and gives its answer. Each question has a port and an id of its own, so that an answer cannot be
/// guessed by who does not see it. What was cut over UDP is asked for over TCP.
pub(super) async fn ask(server: SocketAddr, question: &Question) -> io::Result<Message> {
    let mut message = Message::question(question.query.clone());
    message.flags.checking_disabled = question.checking_disabled;
    message.edns = Some(Edns {
        payload: UDP_ANSWER_MAX,
        version: 0,
        dnssec: question.dnssec(),
    });
    over_both(server, &message).await
}

/// Asks for the name servers of the root: every server has something to say to that.
pub(super) async fn check(server: SocketAddr) -> io::Result<()> {
    let servers = Query {
        name: Name::root(),
        kind: Type::NS,
        class: 1,
    };
    probe(server, servers).await
}

/// Whether a server says anything to a question.
pub(super) async fn probe(server: SocketAddr, query: Query) -> io::Result<()> {
    let message = Message::question(query);
    over_udp(server, &message, &message.write()).await.map(drop)
}

async fn over_both(server: SocketAddr, message: &Message) -> io::Result<Message> {
    let bytes = message.write();
    let answer = over_udp(server, message, &bytes).await?;
    match answer.flags.truncated {
        true => over_tcp(server, message, &bytes).await,
        false => Ok(answer),
    }
}

async fn over_udp(server: SocketAddr, asked: &Message, bytes: &[u8]) -> io::Result<Message> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // What others send does not arrive, and a closed port is told at once.
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    for _ in 0..STRANGE_ANSWERS_MAX {
        let length = socket.recv(&mut buffer).await?;
        if let Some(answer) = buffer
            .get(..length)
            .and_then(|bytes| matching(asked, bytes))
        {
            return Ok(answer);
        }
    }
    Err(io::Error::other("many answers that were not asked for"))
}

async fn over_tcp(server: SocketAddr, asked: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(bytes);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    matching(asked, &answer).ok_or_else(|| io::Error::other("an answer that was not asked for"))
}

/// The answer, if it is one to what was asked.
fn matching(asked: &Message, bytes: &[u8]) -> Option<Message> {
    if bytes.get(..2)? != asked.id.to_be_bytes() {
        return None;
    }
    let answer = Message::read(bytes)?;
    let flags = answer.flags;
    let fits = flags.response && flags.operation == 0 && answer.queries == asked.queries;
    fits.then_some(answer)
}
