//! A minimal HTTP/1.1 GET, enough for health, version and metrics pages, with and without TLS.

use crate::limits::PROBE_DEADLINE;
use crate::tls::ClientIdentity;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Status code and body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// The head as it came: status line and headers.
    pub head: String,
    /// The body, lossily decoded.
    pub body: String,
}

/// Fetches `path` from a loopback port; any failure, including a slow answer, is an error.
pub async fn get(port: u16, path: &str, tls: Option<&ClientIdentity>) -> io::Result<Answer> {
    request("GET", port, path, tls).await
}

/// Like [`get`] with another method.
pub async fn request(
    method: &str,
    port: u16,
    path: &str,
    tls: Option<&ClientIdentity>,
) -> io::Result<Answer> {
    timeout(PROBE_DEADLINE, async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        match tls {
            None => exchange(stream, method, path).await,
            Some(identity) => {
                let name = "127.0.0.1"
                    .try_into()
                    .expect("an IP address is a server name");
                exchange(
                    identity.connector().connect(name, stream).await?,
                    method,
                    path,
                )
                .await
            }
        }
    })
    .await
    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

impl Answer {
    /// The first value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.head.lines().skip(1).filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
) -> io::Result<Answer> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    send(stream, head.as_bytes()).await
}

/// Sends a whole request that asks for the end of the connection, and reads until then.
pub async fn send(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> io::Result<Answer> {
    // A server may refuse a request before it has read all of it; what it says counts.
    let written = stream.write_all(request).await;
    let mut raw = Vec::new();
    match stream.read_to_end(&mut raw).await {
        // Servers may close a TLS connection without close_notify.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof && raw.is_empty() => {
            return Err(written.err().unwrap_or(error));
        }
        _ => {}
    }
    parse(&raw).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse(raw: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(raw);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunk(body)?
    } else {
        body.to_owned()
    };
    Some(Answer {
        status,
        head: head.to_owned(),
        body,
    })
}

fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, tail) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(tail.get(..size)?);
        rest = tail.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn bodies_are_read_plain_and_chunked() {
        let plain = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        assert_eq!((plain.status, plain.body.as_str()), (200, "hi"));
        let chunked = parse(
            b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n",
        )
        .unwrap();
        assert_eq!((chunked.status, chunked.body.as_str()), (503, "hi!"));
    }
}
