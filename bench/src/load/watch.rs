//! One writer, many watches: how fast, how late and how dearly events are delivered.

use std::thread;

use anyhow::{Result, bail, ensure};

use super::Target;
use super::keys::{KeyMaker, WATCHED};
use crate::clock;
use crate::conn::{Outcome, Sink};
use crate::fleet::Fleet;
use crate::latency::Latency;
use crate::limits::{
    DRAIN_TIMEOUT, OUTSTANDING_MAX, POLL_MAX, SETTLE, WATCH_CREATE_TIMEOUT, WATCH_CREATE_WINDOW,
};
use crate::measurement::{Errors, Measurement};
use crate::schedule::Schedule;
use crate::wire::{self, Event};

#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) conns: usize,
    /// Watch streams per connection.
    pub(super) streams: usize,
    /// Watches per stream.
    pub(super) watches: usize,
    pub(super) rate_per_s: u64,
}

/// Distinct keys that are written; all lie in the watched prefix.
const WATCHED_KEYS: u64 = 1_000;
/// Marks the tags of writes.
const WRITE: u64 = 1 << 63;

/// One watch stream.
#[derive(Debug, Default)]
struct Stream {
    conn: usize,
    id: u32,
    asked: usize,
    created: usize,
    /// The newest revision each watch has delivered: every event of ours has its own, growing one.
    last_revision: Vec<u64>,
}

/// Receives events and answers to writes.
#[derive(Debug)]
struct Receiver {
    now_ns: u64,
    streams: Vec<Stream>,
    watches: usize,
    created: usize,
    events: u64,
    last_event_ns: u64,
    delivery: Latency,
    writes: Latency,
    writes_ended: u64,
    writes_ok: u64,
    errors: Errors,
}

impl Receiver {
    fn reset(&mut self) {
        (self.events, self.writes_ended, self.writes_ok) = (0, 0, 0);
        (self.delivery, self.writes) = (Latency::new(), Latency::new());
    }
}

impl Sink for Receiver {
    fn arrived(&mut self, now: u64) {
        self.now_ns = now;
    }

    fn message(&mut self, tag: u64, message: &[u8]) {
        if tag & WRITE != 0 {
            return;
        }
        let stream = &mut self.streams[tag as usize];
        let (mut fresh, mut disorder) = (0, 0);
        let head = wire::watch_response(
            message,
            |id,
             Event {
                 mod_revision,
                 stamp,
             }| {
                match stream.last_revision.get_mut(id as usize) {
                    Some(last) if mod_revision > *last => {
                        *last = mod_revision;
                        fresh += 1;
                        self.delivery.record(self.now_ns.saturating_sub(stamp));
                    }
                    _ => disorder += 1,
                }
            },
        );
        self.errors.add(
            "event repeated, out of order or of an unknown watch",
            disorder,
        );
        if fresh > 0 {
            self.events += fresh;
            self.last_event_ns = self.now_ns;
        }
        match head {
            Err(malformed) => self.errors.add(&malformed.to_string(), 1),
            Ok(head) if head.canceled => {
                let reason = String::from_utf8_lossy(head.reason);
                self.errors.add(&format!("watch canceled: {reason}"), 1);
            }
            Ok(head) if head.created => {
                if head.watch_id as usize >= self.watches {
                    self.errors
                        .add("watch ids of a stream do not count from 0", 1);
                }
                stream.created += 1;
                self.created += 1;
            }
            Ok(_) => {}
        }
    }

    fn end(&mut self, tag: u64, outcome: Outcome) {
        if tag & WRITE == 0 {
            self.errors
                .add(&format!("watch stream ended: {outcome:?}"), 1);
            return;
        }
        self.writes_ended += 1;
        self.errors.note(&outcome);
        if outcome == Outcome::Ok {
            self.writes_ok += 1;
            self.writes.record(self.now_ns.saturating_sub(tag & !WRITE));
        }
    }
}

/// Runs one watch workload.
///
/// # Errors
/// If a connection fails, watches are not created in time, or errors are too many.
pub(super) fn run(shape: Shape, target: &Target) -> Result<Measurement> {
    let watches = shape.conns * shape.streams * shape.watches;
    let mut fleet = Fleet::new()?;
    thread::sleep(SETTLE);
    let rss_before = target.gauge.rss();
    fleet.connect(&target.addresses, shape.conns)?;
    thread::sleep(SETTLE);
    let rss_connected = target.gauge.rss();
    let (mut receiver, creation_s) = create(&mut fleet, shape)?;
    thread::sleep(SETTLE);
    let rss_watching = target.gauge.rss();

    fleet.connect(&target.addresses, 1)?;
    let mut writer = Writer {
        fleet,
        keys: KeyMaker::new(target.keys),
        watches: watches as u64,
        overload: 0,
    };
    let missing = writer.write(
        &mut receiver,
        shape.rate_per_s,
        target.warm_up.as_nanos() as u64,
    )?;
    ensure!(
        missing == 0,
        "{missing} events of the warm-up were not delivered"
    );
    receiver.reset();
    let start = clock::now();
    let first = target.gauge.read();
    let missing = writer.write(
        &mut receiver,
        shape.rate_per_s,
        target.window.as_nanos() as u64,
    )?;
    let usage = target.gauge.read().since(&first);

    let mut errors = receiver.errors.clone();
    errors.add("events not delivered", missing);
    errors.add("not written: too many unanswered writes", writer.overload);
    let mut m = Measurement::new(
        receiver.events,
        &receiver.delivery,
        &usage,
        &target.gauge,
        errors,
    );
    // Over the time the writes were spread on, or until the last event if delivery took longer.
    let planned_s = receiver.writes_ok as f64 / shape.rate_per_s as f64;
    let delivering_s = receiver.last_event_ns.saturating_sub(start) as f64 / 1e9;
    m.per_s = receiver.events as f64 / delivering_s.max(planned_s).max(1e-9);
    m.extra.insert("writes", receiver.writes_ok as f64);
    m.extra.insert("write_p50_us", receiver.writes.us(0.5));
    m.extra.insert("write_p99_us", receiver.writes.us(0.99));
    m.extra
        .insert("watches_created_per_s", watches as f64 / creation_s);
    if !target.gauge.is_blind() {
        let per = |to: u64, from: u64, count: usize| to.saturating_sub(from) as f64 / count as f64;
        let writes = receiver.writes_ok.max(1) as f64;
        m.extra.insert(
            "server_us_per_write",
            usage.server_cpu_ns as f64 / 1e3 / writes,
        );
        m.extra.insert(
            "rss_per_connection_bytes",
            per(rss_connected, rss_before, shape.conns),
        );
        m.extra.insert(
            "rss_per_watch_bytes",
            per(rss_watching, rss_connected, watches),
        );
        m.extra.insert("rss_bytes", rss_watching as f64);
    }
    Ok(m)
}

/// Opens all streams and creates all watches; returns the seconds this took.
fn create(fleet: &mut Fleet, shape: Shape) -> Result<(Receiver, f64)> {
    let mut request = Vec::new();
    wire::watch_create(&mut request, &[WATCHED], &[WATCHED + 1]);
    let mut receiver = Receiver {
        now_ns: 0,
        streams: Vec::with_capacity(shape.conns * shape.streams),
        watches: shape.watches,
        created: 0,
        events: 0,
        last_event_ns: 0,
        delivery: Latency::new(),
        writes: Latency::new(),
        writes_ended: 0,
        writes_ok: 0,
        errors: Errors::default(),
    };
    let start = clock::now();
    let deadline = start + WATCH_CREATE_TIMEOUT.as_nanos() as u64;
    for n in 0..shape.conns * shape.streams {
        let conn = n % shape.conns;
        let id = fleet.call(conn, wire::WATCH, n as u64, &request, false)?;
        let last_revision = vec![0; shape.watches];
        receiver.streams.push(Stream {
            conn,
            id,
            asked: 1,
            created: 0,
            last_revision,
        });
    }
    let total = shape.conns * shape.streams * shape.watches;
    while receiver.created < total {
        ensure!(
            receiver.errors.total == 0,
            "watch creation failed: {:?}",
            receiver.errors.by_text
        );
        if clock::now() > deadline {
            bail!(
                "{} of {total} watches created within {WATCH_CREATE_TIMEOUT:?}",
                receiver.created
            );
        }
        if shape.watches > 1 {
            for stream in &mut receiver.streams {
                let window = stream.created + WATCH_CREATE_WINDOW;
                while stream.asked < shape.watches.min(window) {
                    fleet.send(stream.conn, stream.id, &request)?;
                    stream.asked += 1;
                }
            }
        }
        fleet.turn(deadline, &mut receiver)?;
    }
    let seconds = clock::now().saturating_sub(start) as f64 / 1e9;
    Ok((receiver, seconds))
}

struct Writer {
    /// The last connection is the writer's.
    fleet: Fleet,
    keys: KeyMaker,
    watches: u64,
    overload: u64,
}

impl Writer {
    /// Writes at a fixed rate for `length_ns`, but at least once, and waits until everything is
    /// delivered; returns the number of events that never were.
    fn write(&mut self, receiver: &mut Receiver, rate_per_s: u64, length_ns: u64) -> Result<u64> {
        let start = clock::now();
        let end = start + length_ns;
        let mut schedule = Schedule::new(start, rate_per_s);
        let mut written = 0;
        let mut bytes = Vec::new();
        loop {
            let now = clock::now();
            while let Some(due) = schedule.take(now.min(end - 1)) {
                if written - receiver.writes_ended >= OUTSTANDING_MAX as u64 {
                    self.overload += 1;
                    continue;
                }
                bytes.clear();
                let n = self.keys.next() % WATCHED_KEYS;
                let (key, filler) = self.keys.pair(WATCHED, n);
                wire::put(&mut bytes, key, due, filler);
                let conn = self.fleet.len() - 1;
                self.fleet
                    .call(conn, wire::PUT, due | WRITE, &bytes, true)?;
                written += 1;
            }
            if now >= end {
                break;
            }
            self.fleet.turn(schedule.next_due().min(end), receiver)?;
            ensure!(
                !receiver.errors.too_many(),
                "too many errors: {:?}",
                receiver.errors.by_text
            );
        }
        // A flood longer than usual leaves more behind.
        let deadline = clock::now() + DRAIN_TIMEOUT.as_nanos() as u64 + length_ns;
        while clock::now() < deadline {
            if receiver.writes_ended == written
                && receiver.events >= receiver.writes_ok * self.watches
            {
                break;
            }
            self.fleet
                .turn(clock::now() + POLL_MAX.as_nanos() as u64, receiver)?;
        }
        receiver
            .errors
            .add("writes not answered", written - receiver.writes_ended);
        Ok((receiver.writes_ok * self.watches).saturating_sub(receiver.events))
    }
}
