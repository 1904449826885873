//! Just enough HTTP to ask a server whether it is ready, or what time it has. Plain HTTP only: whoever uses TLS
//! brings a probe of its own.

use crate::limits::{PROBE_BYTES_MAX, PROBE_DEADLINE};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Whether `GET path` is answered with 200 in time.
pub fn http_ok(address: SocketAddr, path: &str) -> bool {
    http_get(address, path).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The whole answer to `GET path`, head and body as they came, lossily decoded.
pub fn http_get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE_DEADLINE)?;
    stream.set_read_timeout(Some(PROBE_DEADLINE))?;
    stream.set_write_timeout(Some(PROBE_DEADLINE))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(PROBE_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
