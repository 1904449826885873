//! Watchers of one server while another writes: what a delivered event costs, and how late it is.

use anyhow::{Result, bail, ensure};

use super::bodies;
use super::calls::{Series, Times};
use super::fleet::{Fleet, call_once};
use super::http::{self, Content, JSON, Piece};
use super::marks::{Marks, text_member};
use super::stack::{Stack, TOKEN};
use crate::clock;
use crate::latency::Latency;
use crate::limits::{API_CALL_TIMEOUT, DRAIN_TIMEOUT, SETTLE};
use crate::measurement::{Errors, Measurement};
use crate::schedule::Schedule;

/// Connections of the writer.
const WRITERS: usize = 32;

/// Watchers, and what they see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) watchers: usize,
    pub(crate) by_node: bool,
    pub(crate) rate_per_s: u64,
}

/// Writers come first among the connections, watchers after them.
struct Load<'a> {
    shape: Shape,
    series: Series<'a>,
    /// Whether a writer waits for an answer.
    busy: Vec<bool>,
    next: u64,
    marks: Vec<Marks>,
    started: usize,
    latency: Latency,
    errors: Errors,
    writes: u64,
    deliveries: u64,
    request: Vec<u8>,
}

impl Load<'_> {
    fn piece(&mut self, at: usize, piece: Piece<'_>) {
        if at < WRITERS {
            if let Piece::End(status) = piece {
                self.busy[at] = false;
                match status {
                    200 => self.writes += 1,
                    _ => self.errors.add(&format!("a write: status {status}"), 1),
                }
            }
            return;
        }
        match piece {
            Piece::Body(200, data) => {
                let (now, latency, seen) = (clock::now(), &mut self.latency, &mut self.deliveries);
                self.marks[at - WRITERS].stamps(data, |written| {
                    // What was there before anything was written has no time.
                    if written > 0 {
                        *seen += 1;
                        latency.record(now.saturating_sub(written));
                    }
                });
            }
            Piece::Body(status, data) => {
                let text = String::from_utf8_lossy(data);
                let text: String = text.chars().take(200).collect();
                self.errors.add(&format!("a watch: {status} {text}"), 1);
            }
            Piece::End(_) => self.errors.add("a watch ended", 1),
        }
    }

    fn start_watches(&mut self, fleet: &mut Fleet, stack: &Stack, revision: &str) -> Result<()> {
        let server = [stack.addresses()[1]];
        while self.started < self.shape.watchers {
            let batch = 200.min(self.shape.watchers - self.started);
            fleet.connect(&server, batch)?;
            for _ in 0..batch {
                let selector = match self.shape.by_node {
                    true => format!("&fieldSelector=spec.nodeName%3Dnode-{}", self.started),
                    false => String::new(),
                };
                let path = format!(
                    "/api/v1/pods?watch=1&allowWatchBookmarks=true&resourceVersion={revision}{selector}"
                );
                http::request(&mut self.request, "GET", &path, TOKEN, Content::NONE);
                fleet.send(WRITERS + self.started, &self.request)?;
                self.started += 1;
            }
        }
        Ok(())
    }

    /// Writes at the rate until the time is over. Latencies count from the moment a write is really sent.
    fn drive(&mut self, fleet: &mut Fleet, end_ns: u64) -> Result<()> {
        let mut schedule = Schedule::new(clock::now(), self.shape.rate_per_s);
        while clock::now() < end_ns && !self.errors.too_many() {
            while let Some(at) = self.busy.iter().position(|busy| !busy) {
                if schedule.take(clock::now()).is_none() {
                    break;
                }
                self.write(fleet, at)?;
            }
            let due = schedule.next_due().max(clock::now() + 200_000).min(end_ns);
            fleet.turn(due, &mut |at, piece| self.piece(at, piece))?;
        }
        Ok(())
    }

    fn write(&mut self, fleet: &mut Fleet, at: usize) -> Result<()> {
        let n = self.next % self.series.pods;
        self.next += 1;
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}",
            bodies::namespace(n),
            bodies::name(self.series.name, n)
        );
        let body = bodies::stamp(clock::now());
        let content = Content {
            accept: JSON,
            media: "application/merge-patch+json",
            body: &body,
        };
        http::request(&mut self.request, "PATCH", &path, TOKEN, content);
        self.busy[at] = true;
        fleet.send(at, &self.request)
    }

    /// Waits for what is still on its way.
    fn drain(&mut self, fleet: &mut Fleet, per_write: u64, before: (u64, u64)) -> Result<()> {
        let deadline = clock::now() + DRAIN_TIMEOUT.as_nanos() as u64;
        loop {
            let expected = (self.writes - before.0) * per_write;
            let missing = expected.saturating_sub(self.deliveries - before.1);
            let waits = self.busy.iter().any(|busy| *busy);
            if !waits && missing == 0 {
                return Ok(());
            }
            if clock::now() > deadline {
                self.errors
                    .add("an event was not delivered", missing.max(1));
                return Ok(());
            }
            fleet.turn(deadline, &mut |at, piece| self.piece(at, piece))?;
        }
    }
}

/// Runs one row of watchers. The stack has two servers: writes go to the first, the second is watched and measured.
///
/// # Errors
/// If it could not be completed.
pub(crate) fn run(
    shape: Shape,
    stack: &Stack,
    series: Series<'_>,
    times: Times,
) -> Result<Measurement> {
    ensure!(
        !shape.by_node || shape.watchers as u64 >= series.nodes,
        "there are nodes that nobody watches"
    );
    let watched = stack.apiserver(1);
    let revision = current(stack)?;
    let mut fleet = Fleet::new()?;
    fleet.connect(&stack.addresses()[..1], WRITERS)?;
    let mut marks = Vec::new();
    marks.resize_with(shape.watchers, Marks::default);
    let mut load = Load {
        shape,
        series,
        busy: vec![false; WRITERS],
        next: 0,
        marks,
        started: 0,
        latency: Latency::new(),
        errors: Errors::default(),
        writes: 0,
        deliveries: 0,
        request: Vec::new(),
    };
    let rss = watched.rss();
    let begun = watched.read();
    load.start_watches(&mut fleet, stack, &revision)?;
    let settled = clock::now() + SETTLE.as_nanos() as u64;
    while clock::now() < settled {
        fleet.turn(settled, &mut |at, piece| load.piece(at, piece))?;
    }
    let started = watched.read().since(&begun);
    let grown = watched.rss().saturating_sub(rss);
    let per_write = if shape.by_node {
        1
    } else {
        shape.watchers as u64
    };
    // A first round makes sure that every watch stands.
    load.drive(&mut fleet, clock::now() + times.warm_up_ns)?;
    load.drain(&mut fleet, per_write, (0, 0))?;
    let counted = (load.writes, load.deliveries);
    load.latency = Latency::new();
    let before = watched.read();
    load.drive(&mut fleet, clock::now() + times.window_ns)?;
    load.drain(&mut fleet, per_write, counted)?;
    let used = watched.read().since(&before);
    let events = load.deliveries - counted.1;
    let mut m = Measurement::new(events, &load.latency, &used, &watched, load.errors);
    let watchers = shape.watchers as f64;
    m.extra.insert(
        "apiserver_us_per_op",
        used.server_cpu_ns as f64 / 1e3 / (events as f64).max(1.0),
    );
    m.extra
        .insert("rss_per_watcher_bytes", grown as f64 / watchers);
    m.extra.insert(
        "start_us_per_watcher",
        started.server_cpu_ns as f64 / 1e3 / watchers,
    );
    m.extra.insert("rss_bytes", watched.rss() as f64);
    Ok(m)
}

/// The revision that the watched server has.
fn current(stack: &Stack) -> Result<String> {
    let (status, body) = call_once(
        stack.addresses()[1],
        TOKEN,
        "GET",
        "/api/v1/pods?limit=1",
        Content::NONE,
    )?;
    match text_member(&body, "resourceVersion") {
        Some(revision) if status == 200 => Ok(revision),
        _ => bail!("a list answers {status} within {API_CALL_TIMEOUT:?}"),
    }
}
