//! One line of a log file in CRI's format: `TIME STREAM TAGS TEXT`, as
//! `2026-01-01T00:00:00.123456789Z stdout F hello`. A tag `P` says that the program's line goes on in the next one.

use jiff::Timestamp;

/// Where a program wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// A line, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub time: Timestamp,
    /// As it stands there.
    time_text: &'a str,
    pub stream: Stream,
    /// With its end of line, but for one that goes on.
    pub text: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads a line with its end. `None` for what is none.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let (time_text, rest) = word(line)?;
        let time_text = std::str::from_utf8(time_text).ok()?;
        let time = time_text.parse().ok()?;
        let (stream, rest) = word(rest)?;
        let stream = match stream {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let (tags, text) = word(rest)?;
        let partial = tags.split(|byte| *byte == b':').next() == Some(b"P");
        let text = match text.strip_suffix(b"\n") {
            Some(cut) if partial => cut,
            _ => text,
        };
        Some(Self {
            time,
            time_text,
            stream,
            text,
        })
    }

    /// The time with nine places, in the offset that it was written in.
    #[must_use]
    pub fn prefix(&self) -> String {
        let text = self.time_text;
        let zone = text
            .rfind(['Z', 'z', '+'])
            .or_else(|| text.rfind('-').filter(|at| *at > 10))
            .unwrap_or(text.len());
        let (moment, zone) = text.split_at(zone);
        let (whole, part) = moment.split_once('.').unwrap_or((moment, ""));
        let zone = match zone {
            "" | "z" | "+00:00" | "-00:00" => "Z",
            zone => zone,
        };
        format!("{whole}.{part:0<9}{zone} ")
    }
}

fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.iter().position(|byte| *byte == b' ')?;
    Some((&line[..end], &line[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = Line::parse(b"2026-01-02T03:04:05.5+01:00 stderr F a b \n").expect("a line");
        assert_eq!(line.stream, Stream::Stderr);
        assert_eq!(line.text, b"a b \n");
        assert_eq!(line.prefix(), "2026-01-02T03:04:05.500000000+01:00 ");
        assert_eq!(
            line.time,
            "2026-01-02T02:04:05.5Z"
                .parse::<Timestamp>()
                .expect("a time")
        );
        let part = Line::parse(b"2026-01-02T03:04:05Z stdout P:x half\n").expect("a line");
        assert_eq!(part.text, b"half");
        assert_eq!(part.prefix(), "2026-01-02T03:04:05.000000000Z ");
        let empty = Line::parse(b"2026-01-02T03:04:05.123456789Z stdout F \n").expect("a line");
        assert_eq!(empty.text, b"\n");
        let west = Line::parse(b"2026-01-02T03:04:05.1-08:00 stdout F x\n").expect("a line");
        assert_eq!(west.prefix(), "2026-01-02T03:04:05.100000000-08:00 ");
    }

    #[test]
    fn garbage_is_no_line_and_never_panics() {
        let whole = b"2026-01-02T03:04:05.123456789+01:00 stdout F \xff\xfe text\n";
        assert!(Line::parse(whole).is_some());
        for end in 0..whole.len() {
            if let Some(line) = Line::parse(&whole[..end]) {
                assert!(!line.prefix().is_empty());
            }
            let mut changed = whole.to_vec();
            for byte in [0, b' ', b'\n', b'Z', b'+', b'.', 0xff] {
                changed[end] = byte;
                if let Some(line) = Line::parse(&changed) {
                    assert!(!line.prefix().is_empty());
                }
            }
        }
        for line in [
            &b""[..],
            b" ",
            b"   ",
            b"{\"log\":\"x\"}\n",
            b"2026-01-02T03:04:05Z stdin F x\n",
            b"yesterday stdout F x\n",
        ] {
            assert_eq!(Line::parse(line), None);
        }
    }
}
