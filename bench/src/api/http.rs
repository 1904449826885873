//! HTTP/1.1, as little as an API client needs.

use std::io::Write;

use anyhow::{Result, bail, ensure};

use crate::limits::HEADER_BLOCK_BYTES_MAX;

/// What a request says besides its method and path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) accept: &'a str,
    /// Media type of the body; empty for none.
    pub(crate) media: &'a str,
    pub(crate) body: &'a [u8],
}

/// The form of answers when nothing else is asked for.
pub(crate) const JSON: &str = "application/json";

impl Content<'static> {
    /// No body, JSON back.
    pub(crate) const NONE: Self = Self {
        accept: JSON,
        media: "",
        body: b"",
    };
}

/// Writes a request into `out`, which is cleared.
pub(crate) fn request(
    out: &mut Vec<u8>,
    method: &str,
    path: &str,
    token: &str,
    content: Content<'_>,
) {
    out.clear();
    let Content {
        accept,
        media,
        body,
    } = content;
    let head = write!(
        out,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: {accept}\r\n"
    );
    head.expect("writing to memory does not fail");
    if !media.is_empty() {
        let more = write!(
            out,
            "Content-Type: {media}\r\nContent-Length: {}\r\n",
            body.len()
        );
        more.expect("writing to memory does not fail");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// A piece of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Bytes of the body of an answer with this status.
    Body(u16, &'a [u8]),
    /// The answer is complete.
    End(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of the body are to come.
    Length(usize),
    /// The line with a chunk's size.
    Size,
    Chunk(usize),
    /// The end of line behind a chunk.
    ChunkEnd,
    /// Behind the last chunk.
    Trailer,
}

/// Reads answers, one after the other.
#[derive(Debug)]
pub(crate) struct Reader {
    state: State,
    line: Vec<u8>,
    status: u16,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Head,
            line: Vec::new(),
            status: 0,
        }
    }

    /// Reads what has arrived and hands on the pieces.
    ///
    /// # Errors
    /// If it is not HTTP/1.1, or its head is too long.
    pub(crate) fn read(&mut self, mut data: &[u8], mut sink: impl FnMut(Piece<'_>)) -> Result<()> {
        while !data.is_empty() {
            match self.state {
                State::Head => {
                    let (taken, done) = self.line(data, b"\r\n\r\n")?;
                    data = &data[taken..];
                    if done {
                        self.head()?;
                    }
                }
                State::Length(left) | State::Chunk(left) => {
                    let now = left.min(data.len());
                    sink(Piece::Body(self.status, &data[..now]));
                    data = &data[now..];
                    self.state = match (self.state, left - now) {
                        (State::Chunk(_), 0) => State::ChunkEnd,
                        (State::Chunk(_), rest) => State::Chunk(rest),
                        (_, rest) => State::Length(rest),
                    };
                }
                State::Size | State::ChunkEnd | State::Trailer => {
                    let (taken, done) = self.line(data, b"\r\n")?;
                    data = &data[taken..];
                    if done {
                        self.end_of_line(&mut sink)?;
                    }
                }
            }
            if self.state == State::Length(0) {
                self.state = State::Head;
                sink(Piece::End(self.status));
            }
        }
        Ok(())
    }

    /// Collects up to and including `end`. Returns how much was taken, and whether it was the end.
    fn line(&mut self, data: &[u8], end: &[u8]) -> Result<(usize, bool)> {
        for (at, byte) in data.iter().enumerate() {
            self.line.push(*byte);
            if *byte == b'\n' && self.line.ends_with(end) {
                return Ok((at + 1, true));
            }
        }
        ensure!(
            self.line.len() <= HEADER_BLOCK_BYTES_MAX,
            "the head of an answer is too long"
        );
        Ok((data.len(), false))
    }

    fn head(&mut self) -> Result<()> {
        let line = std::mem::take(&mut self.line);
        let head = String::from_utf8_lossy(&line);
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|first| first.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let Some(status) = status else {
            bail!("this is no answer of HTTP/1.1: {head:?}");
        };
        self.status = status;
        self.state = State::Length(0);
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                self.state = State::Length(value.trim().parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                self.state = State::Size;
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self, sink: &mut impl FnMut(Piece<'_>)) -> Result<()> {
        let text = String::from_utf8_lossy(&self.line).trim().to_owned();
        self.line.clear();
        match self.state {
            State::Size => {
                self.state = match usize::from_str_radix(&text, 16)? {
                    0 => State::Trailer,
                    size => State::Chunk(size),
                };
            }
            State::ChunkEnd => {
                ensure!(text.is_empty(), "a chunk is longer than it said");
                self.state = State::Size;
            }
            // Behind the trailers there is an empty line.
            _ if text.is_empty() => {
                self.state = State::Head;
                sink(Piece::End(self.status));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str, step: usize) -> (Vec<u16>, String) {
        let (mut ends, mut body) = (Vec::new(), Vec::new());
        let mut reader = Reader::new();
        for data in text.as_bytes().chunks(step) {
            let sink = |piece: Piece<'_>| match piece {
                Piece::Body(_, bytes) => body.extend_from_slice(bytes),
                Piece::End(status) => ends.push(status),
            };
            reader.read(data, sink).unwrap();
        }
        (ends, String::from_utf8(body).unwrap())
    }

    #[test]
    fn answers_are_read_however_they_are_cut() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde\
            HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n3\r\nfgh\r\nA\r\n0123456789\r\n0\r\n\r\n\
            HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        for step in [1, 2, 7, 1000] {
            let (ends, body) = read_all(text, step);
            assert_eq!(ends, [200, 201, 404], "step {step}");
            assert_eq!(body, "abcdefgh0123456789", "step {step}");
        }
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert!(Reader::new().read(b"SSH-2.0\r\n\r\n", |_| {}).is_err());
        let long = vec![b'x'; HEADER_BLOCK_BYTES_MAX + 1];
        assert!(Reader::new().read(&long, |_| {}).is_err());
    }
}
