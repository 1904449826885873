//! What happened, as lines: hashed all, kept the last, printed when asked for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::limits::LAST_EVENTS;

/// Collects events; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    now_us: u64,
    hash: u64,
    count: u64,
    last: VecDeque<String>,
    print: bool,
}

impl Trace {
    pub(crate) fn new(print: bool) -> Self {
        let trace = Self::default();
        trace.0.lock().print = print;
        trace
    }

    pub(crate) fn set_time(&self, us: u64) {
        self.0.lock().now_us = us;
    }

    /// Shows a line that is no event.
    #[expect(clippy::print_stdout, reason = "asked for by --log")]
    pub(crate) fn show(&self, what: fmt::Arguments<'_>) {
        let inner = self.0.lock();
        println!("{:>10.3} ms  {what}", inner.now_us as f64 / 1000.0);
    }

    /// An event worth reading.
    #[expect(clippy::print_stdout, reason = "asked for by --trace")]
    pub(crate) fn say(&self, what: fmt::Arguments<'_>) {
        let mut inner = self.0.lock();
        let line = format!("{:>10.3} ms  {what}", inner.now_us as f64 / 1000.0);
        inner.mix(line.as_bytes());
        if inner.print {
            println!("{line}");
        }
        if inner.last.len() == LAST_EVENTS {
            inner.last.pop_front();
        }
        inner.last.push_back(line);
    }

    /// An event that only has to be the same in a replay.
    pub(crate) fn note(&self, what: &[u64]) {
        let mut inner = self.0.lock();
        let now = inner.now_us;
        inner.mix(&now.to_le_bytes());
        for n in what {
            inner.mix(&n.to_le_bytes());
        }
    }

    /// Number of events and the hash of them all.
    pub(crate) fn digest(&self) -> (u64, u64) {
        let inner = self.0.lock();
        (inner.count, inner.hash)
    }

    pub(crate) fn last(&self) -> Vec<String> {
        self.0.lock().last.iter().cloned().collect()
    }
}

impl Inner {
    fn mix(&mut self, bytes: &[u8]) {
        self.count += 1;
        let crc = u64::from(crc32fast::hash(bytes));
        self.hash = (self.hash.rotate_left(23) ^ crc).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// `say!(trace, "…", …)`.
macro_rules! say {
    ($trace:expr, $($what:tt)*) => { $trace.say(format_args!($($what)*)) };
}
pub(crate) use say;
