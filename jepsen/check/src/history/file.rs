//! Histories as files of JSON lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::store::History;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::{BAD_LINES_MAX, LINE_BYTES_MAX, WRITE_BUFFER_BYTES};

/// Writes records as lines, through a buffer. [`HistoryWriter::finish`] must be called at the end: errors
/// of a buffer that is merely dropped are lost.
#[derive(Debug)]
pub struct HistoryWriter<W: Write> {
    out: BufWriter<W>,
}

impl HistoryWriter<File> {
    /// Creates or empties the file.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self::new(File::create(path)?))
    }
}

impl<W: Write> HistoryWriter<W> {
    pub fn new(out: W) -> Self {
        Self {
            out: BufWriter::with_capacity(WRITE_BUFFER_BYTES, out),
        }
    }

    pub fn write(&mut self, record: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, record)?;
        self.out.write_all(b"\n")
    }

    /// Hands all lines to what is below.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub fn finish(self) -> io::Result<W> {
        self.out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
    }
}

/// A line that is no record. A history with bad lines is judged as unknown at best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: u64,
    pub reason: String,
}

/// What a file held.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    pub history: History,
    /// The first [`BAD_LINES_MAX`] of them.
    pub bad: Vec<BadLine>,
    pub bad_count: u64,
}

pub fn read_file(path: &Path) -> io::Result<Reading> {
    read_history(BufReader::with_capacity(
        WRITE_BUFFER_BYTES,
        File::open(path)?,
    ))
}

/// Reads to the end. Empty lines are skipped; lines that are no records are reported, not fatal.
pub fn read_history(from: impl BufRead) -> io::Result<Reading> {
    let mut history = History::default();
    let (bad, bad_count) = read_lines(from, |record| history.push(record))?;
    Ok(Reading {
        history,
        bad,
        bad_count,
    })
}

/// The same for any kind of record: the first bad lines, and how many there are.
pub(crate) fn read_lines<R: DeserializeOwned>(
    mut from: impl BufRead,
    mut push: impl FnMut(R),
) -> io::Result<(Vec<BadLine>, u64)> {
    let (mut bad, mut bad_count) = (Vec::new(), 0);
    let mut line = Vec::new();
    let mut number = 0;
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    loop {
        line.clear();
        if from.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok((bad, bad_count));
        }
        number += 1;
        if line.len() >= LINE_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {number} is longer than {LINE_BYTES_MAX} bytes"),
            ));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(record) => push(record),
            Err(error) => {
                bad_count += 1;
                if bad.len() < BAD_LINES_MAX {
                    let reason = error.to_string();
                    bad.push(BadLine {
                        line: number,
                        reason,
                    });
                }
            }
        }
    }
}
