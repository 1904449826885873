//! Log lines in the form of etcd's (zap's): one JSON object per line, or tab-separated for the console.
//!
//! A `tracing` subscriber of its own: spans are not used in this process, and a line must be written by the time the
//! call returns so that the last words before an abort are not lost.

use parking_lot::Mutex;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber, span};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Tab-separated, with fields as JSON at the end.
    Console,
}

/// What is logged, how and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Least severe level.
    pub level: Level,
    /// Line format.
    pub format: Format,
    /// `default`, `stderr`, `stdout` or file paths.
    pub outputs: Vec<String>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            level: Level::INFO,
            format: Format::Json,
            outputs: vec!["default".to_owned()],
        }
    }
}

/// Starts logging for the whole process; a second call changes nothing.
pub fn start(options: &LogOptions) -> io::Result<()> {
    let mut sinks = Vec::new();
    for output in &options.outputs {
        sinks.push(match output.as_str() {
            "default" | "stderr" | "systemd/journal" => Sink::Stderr,
            "stdout" => Sink::Stdout,
            path => Sink::File(OpenOptions::new().create(true).append(true).open(path)?),
        });
    }
    let logger = Logger {
        level: options.level,
        format: options.format,
        sinks: Mutex::new(sinks),
    };
    // Only tests start logging twice.
    let _ = tracing::subscriber::set_global_default(logger);
    Ok(())
}

enum Sink {
    Stderr,
    Stdout,
    File(File),
}

struct Logger {
    level: Level,
    format: Format,
    sinks: Mutex<Vec<Sink>>,
}

impl Subscriber for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The consensus library narrates every step at info.
        let level = if metadata.target().starts_with("openraft") && self.level <= Level::INFO {
            Level::ERROR
        } else {
            self.level
        };
        metadata.is_event() && *metadata.level() <= level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.level))
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = line(self.format, event.metadata(), SystemTime::now(), &fields);
        for sink in self.sinks.lock().iter_mut() {
            // A log that cannot be written is no reason to stop serving.
            let _ = match sink {
                Sink::Stderr => io::stderr().write_all(line.as_bytes()),
                Sink::Stdout => io::stdout().write_all(line.as_bytes()),
                Sink::File(file) => file.write_all(line.as_bytes()),
            };
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The message, and the other fields as the inside of a JSON object.
#[derive(Default)]
struct Fields {
    message: String,
    json: String,
}

impl Fields {
    fn name(&mut self, field: &Field) {
        if !self.json.is_empty() {
            self.json.push(',');
        }
        // zap separates words by hyphens.
        let name = field.name().strip_prefix("r#").unwrap_or(field.name());
        string(&name.replace('_', "-"), &mut self.json);
        self.json.push(':');
    }

    fn number(&mut self, field: &Field, value: impl std::fmt::Display) {
        self.name(field);
        let _ = write!(self.json, "{value}");
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.name(field);
            string(&text, &mut self.json);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.name(field);
            string(value, &mut self.json);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }
}

fn line(format: Format, metadata: &Metadata<'_>, now: SystemTime, fields: &Fields) -> String {
    let level = match *metadata.level() {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    };
    let ts = timestamp(now);
    let caller = format!(
        "{}:{}",
        metadata.file().map_or("", short_path),
        metadata.line().unwrap_or_default()
    );
    let mut out = String::with_capacity(192);
    match format {
        Format::Json => {
            let _ = write!(
                out,
                "{{\"level\":\"{level}\",\"ts\":\"{ts}\",\"caller\":\"{caller}\",\"msg\":"
            );
            string(&fields.message, &mut out);
            if !fields.json.is_empty() {
                out.push(',');
                out.push_str(&fields.json);
            }
            out.push_str("}\n");
        }
        Format::Console => {
            let _ = write!(
                out,
                "{ts}\t{}\t{caller}\t{}",
                level.to_uppercase(),
                fields.message
            );
            if !fields.json.is_empty() {
                let _ = write!(out, "\t{{{}}}", fields.json);
            }
            out.push('\n');
        }
    }
    out
}

/// The last folder and the file, as zap prints callers.
fn short_path(path: &str) -> &str {
    let mut slashes = path.rmatch_indices('/').map(|(at, _)| at);
    let _ = slashes.next();
    slashes.next().map_or(path, |at| &path[at + 1..])
}

/// RFC 3339 in UTC with microseconds.
fn timestamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (day, in_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, date) = civil(day);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}.{:06}Z",
        in_day / 3600,
        in_day / 60 % 60,
        in_day % 60,
        since.subsec_micros()
    )
}

/// Year, month and day of a day since 1970.
fn civil(day: u64) -> (u64, u64, u64) {
    // Years are counted from March, so that leap days come last; 719468 days lie before 1970.
    let z = day + 719_468;
    let era = z / 146_097;
    let of_era = z % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, date)
}

/// Appends a JSON string.
fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timestamps() {
        let at = |s: u64, us: u32| timestamp(UNIX_EPOCH + Duration::new(s, us * 1000));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_826_154, 7), "2000-02-29T12:09:14.000007Z");
        assert_eq!(at(1_795_248_958, 123_456), "2026-11-21T08:15:58.123456Z");
        assert_eq!(at(4_107_542_399, 0), "2100-02-28T23:59:59.000000Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
    }

    #[test]
    fn strings_are_escaped() {
        let mut out = String::new();
        string("a\"b\\c\nd\u{1}é", &mut out);
        assert_eq!(out, "\"a\\\"b\\\\c\\nd\\u0001é\"");
        assert_eq!(
            serde_json::from_str::<String>(&out).unwrap(),
            "a\"b\\c\nd\u{1}é"
        );
    }

    #[test]
    fn callers_are_short() {
        assert_eq!(
            short_path("kvstore/server/src/serve/accept.rs"),
            "serve/accept.rs"
        );
        assert_eq!(short_path("main.rs"), "main.rs");
    }

    #[test]
    fn lines_of_a_real_event() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = |format| Logger {
            level: Level::INFO,
            format,
            sinks: Mutex::new(vec![Sink::File(
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&path)
                    .unwrap(),
            )]),
        };
        for format in [Format::Json, Format::Console] {
            tracing::subscriber::with_default(file(format), || {
                tracing::info!(data_dir = "/x", count = 3, "ready to serve client requests");
                tracing::debug!("not shown");
            });
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        let json: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(json["level"], "info");
        assert_eq!(json["msg"], "ready to serve client requests");
        assert_eq!(json["data-dir"], "/x");
        assert_eq!(json["count"], 3);
        assert!(json["caller"].as_str().unwrap().starts_with("src/log.rs:"));
        assert!(
            lines[1].contains("\tINFO\t")
                && lines[1].ends_with("{\"data-dir\":\"/x\",\"count\":3}")
        );
    }
}
