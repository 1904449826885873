//! Looking through a server's log for what must not be there: panics, fatal ends, errors.
//!
//! Understands lines of zap's JSON (Mainstay, etcd from 3.5), of etcd 3.4's default format, and what dying Rust and Go
//! programs print.

use crate::error::{Error, Result};
use crate::limits::{FINDING_CHARS_MAX, LOG_FINDINGS_MAX, LOG_LINE_BYTES_MAX};
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

/// A line that should not be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `panic`, `fatal` or `error`.
    pub severity: &'static str,
    /// Where the line begins in the file.
    pub offset: u64,
    /// The line, cut to a readable length.
    pub line: String,
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The first of them.
    pub list: Vec<Finding>,
    /// How many more there are.
    pub more: usize,
    /// How many were allowed.
    pub allowed: usize,
    /// Lines looked at.
    pub lines: u64,
    /// Where the next scan goes on: behind the last whole line.
    pub end: u64,
}

/// What is allowed to be in a log. Panics never are.
#[derive(Clone, Debug, Default)]
pub struct LogRules {
    allowed: Vec<String>,
    at_exit: Option<AtExit>,
}

/// What is allowed only while a process ends in an orderly way.
#[derive(Clone, Debug)]
struct AtExit {
    begins: String,
    ends: String,
    allowed: Vec<String>,
}

impl LogRules {
    /// Errors and fatal ends that contain one of these texts are expected under the fault at hand.
    pub fn allow<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Self {
        Self {
            allowed: texts.into_iter().map(Into::into).collect(),
            at_exit: None,
        }
    }

    /// Errors that contain one of `texts` are expected, too, after a line that contains `begins` until one that contains
    /// `ends`: what a process says when it begins to end, and what the next one says first.
    #[must_use]
    pub fn allow_between<S: Into<String>>(
        mut self,
        begins: &str,
        ends: &str,
        texts: impl IntoIterator<Item = S>,
    ) -> Self {
        self.at_exit = Some(AtExit {
            begins: begins.to_owned(),
            ends: ends.to_owned(),
            allowed: texts.into_iter().map(Into::into).collect(),
        });
        self
    }

    /// Looks through whole lines of `path` from `offset` on.
    pub fn scan(&self, path: &Path, offset: u64) -> Result<Findings> {
        let doing = || format!("read {}", path.display());
        let mut file = File::open(path).map_err(Error::io(doing()))?;
        file.seek(SeekFrom::Start(offset))
            .map_err(Error::io(doing()))?;
        let mut reader = BufReader::new(file);
        let mut findings = Findings {
            end: offset,
            ..Findings::default()
        };
        let mut line = Vec::new();
        let mut ending = false;
        loop {
            line.clear();
            let (taken, whole) = read_line(&mut reader, &mut line).map_err(Error::io(doing()))?;
            if !whole {
                return Ok(findings);
            }
            let text = String::from_utf8_lossy(&line);
            if let Some(at_exit) = &self.at_exit {
                ending =
                    (ending || text.contains(&at_exit.begins)) && !text.contains(&at_exit.ends);
            }
            self.judge(&text, ending, &mut findings);
            findings.lines += 1;
            findings.end += taken;
        }
    }

    fn judge(&self, line: &str, ending: bool, findings: &mut Findings) {
        let Some(severity) = severity(line) else {
            return;
        };
        let at_exit = self.at_exit.iter().filter(|_| ending);
        let mut allowed = self
            .allowed
            .iter()
            .chain(at_exit.flat_map(|at| &at.allowed));
        if severity != "panic" && allowed.any(|text| line.contains(text)) {
            findings.allowed += 1;
        } else if findings.list.len() < LOG_FINDINGS_MAX {
            let line = line.chars().take(FINDING_CHARS_MAX).collect();
            findings.list.push(Finding {
                severity,
                offset: findings.end,
                line,
            });
        } else {
            findings.more += 1;
        }
    }
}

/// Reads one line into `line`, at most [`LOG_LINE_BYTES_MAX`] of it. Returns its whole length and whether it ended.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<(u64, bool)> {
    let mut taken = 0;
    loop {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Ok((taken, false));
        }
        let end = available.iter().position(|b| *b == b'\n');
        let used = end.map_or(available.len(), |at| at + 1);
        let room = LOG_LINE_BYTES_MAX.saturating_sub(line.len());
        line.extend_from_slice(&available[..end.unwrap_or(used).min(room)]);
        reader.consume(used);
        taken += used as u64;
        if end.is_some() {
            return Ok((taken, true));
        }
    }
}

fn severity(line: &str) -> Option<&'static str> {
    if line.starts_with('{') {
        return match json_level(line)? {
            "panic" | "dpanic" => Some("panic"),
            "fatal" => Some("fatal"),
            "error" => Some("error"),
            _ => None,
        };
    }
    let panics = [
        "panicked at ",
        "panic: ",
        "fatal runtime error",
        "fatal error: ",
        "SIGSEGV",
    ];
    if panics.iter().any(|text| line.contains(text)) {
        return Some("panic");
    }
    // etcd 3.4: "2026-01-02 03:04:05.678901 E | package: text".
    let mark = line.get(26..31).filter(|_| line.starts_with("20"));
    match mark {
        Some(" C | ") => Some("fatal"),
        Some(" E | ") => Some("error"),
        _ if line.starts_with("ERROR") || line.contains(" ERROR ") => Some("error"),
        _ => None,
    }
}

/// The level of a zap line. It is the first field; a whole parse would only cost time.
fn json_level(line: &str) -> Option<&str> {
    line.strip_prefix("{\"level\":\"")?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn scan(text: &str, rules: &LogRules) -> Findings {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        rules.scan(file.path(), 0).unwrap()
    }

    #[test]
    fn every_dialect_is_understood() {
        let text = "{\"level\":\"info\",\"msg\":\"panic: not one\"}\n\
            {\"level\":\"error\",\"msg\":\"x\"}\n{\"level\":\"fatal\",\"msg\":\"y\"}\n\
            2026-11-21 11:20:15.137360 I | embed: ready\n\
            2026-11-21 11:20:15.137360 E | rafthttp: failed\n\
            2026-11-21 11:20:15.137360 C | etcdserver: gone\n\
            thread 'raft' (12) panicked at src/x.rs:1:2:\n\
            panic: runtime error: index out of range\n";
        let findings = scan(text, &LogRules::default());
        let severities: Vec<_> = findings.list.iter().map(|f| f.severity).collect();
        assert_eq!(
            severities,
            ["error", "fatal", "error", "fatal", "panic", "panic"]
        );
        assert_eq!((findings.lines, findings.end), (8, text.len() as u64));
    }

    #[test]
    fn what_is_allowed_is_counted_and_panics_never_are() {
        let text = "{\"level\":\"error\",\"msg\":\"no space left\"}\npanic: no space left\n";
        let findings = scan(text, &LogRules::allow(["no space left"]));
        assert_eq!((findings.allowed, findings.list.len()), (1, 1));
        assert_eq!(findings.list[0].severity, "panic");
    }

    #[test]
    fn what_is_allowed_at_an_exit_is_an_error_at_any_other_time() {
        let error = "{\"level\":\"error\",\"msg\":\"core is gone\"}\n";
        let (ending, starting) = ("{\"msg\":\"ending\"}\n", "{\"msg\":\"starting\"}\n");
        let text = [error, ending, error, error, starting, error].concat();
        let rules = LogRules::default().allow_between("ending", "starting", ["core is gone"]);
        let findings = scan(&text, &rules);
        assert_eq!((findings.allowed, findings.list.len()), (2, 2));
    }

    #[test]
    fn half_a_line_waits_for_the_next_scan_and_endless_lines_are_cut() {
        let long = "x".repeat(LOG_LINE_BYTES_MAX * 2);
        let findings = scan(&format!("{long} panicked at \nhalf"), &LogRules::default());
        assert_eq!((findings.lines, findings.list.len()), (1, 0));
        assert_eq!(findings.end, long.len() as u64 + 14);
    }
}
