//! Calls with one answer, in a closed or an open loop.

use anyhow::{Result, bail, ensure};

use super::keys::{KeyMaker, PLAIN};
use super::{Call, Pace, Target};
use crate::clock;
use crate::conn::{Outcome, Sink};
use crate::fleet::Fleet;
use crate::latency::Latency;
use crate::limits::{DRAIN_TIMEOUT, OUTSTANDING_MAX};
use crate::measurement::{Errors, Measurement};
use crate::schedule::Schedule;
use crate::usage::Usage;
use crate::wire::{self, Malformed};

/// What a call in a slot must bring back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Message,
    Keys(u64),
    Lease,
}

/// A call that is under way.
#[derive(Debug, Clone, Copy)]
struct Slot {
    start_ns: u64,
    expect: Expect,
    answered: bool,
    is_put: bool,
}

/// Checks answers and collects the slots that have ended.
#[derive(Debug, Default)]
struct Answers {
    now_ns: u64,
    slots: Vec<Slot>,
    ended: Vec<(usize, u64, Outcome)>,
}

impl Sink for Answers {
    fn arrived(&mut self, now: u64) {
        self.now_ns = now;
    }

    fn message(&mut self, tag: u64, message: &[u8]) {
        let slot = &mut self.slots[tag as usize];
        slot.answered = check(slot.expect, message).unwrap_or(false);
    }

    fn end(&mut self, tag: u64, outcome: Outcome) {
        self.ended.push((tag as usize, self.now_ns, outcome));
    }
}

fn check(expect: Expect, message: &[u8]) -> Result<bool, Malformed> {
    Ok(match expect {
        Expect::Message => !message.is_empty(),
        Expect::Keys(count) => wire::range_len(message)? == count,
        Expect::Lease => wire::number_of(message, 2)? != 0,
    })
}

/// The load of one run.
struct Unary {
    call: Call,
    fleet: Fleet,
    keys: KeyMaker,
    key_count: u64,
    answers: Answers,
    free: Vec<usize>,
    goes_round: bool,
    unanswered: usize,
    issued: u64,
    bytes: Vec<u8>,
    tally: Tally,
}

/// What a window counts; reset when it begins.
struct Tally {
    puts: Latency,
    others: Latency,
    errors: Errors,
}

impl Tally {
    fn new() -> Self {
        Self {
            puts: Latency::new(),
            others: Latency::new(),
            errors: Errors::default(),
        }
    }
}

impl Unary {
    fn new(call: Call, conns: usize, target: &Target) -> Result<Self> {
        let mut fleet = Fleet::new()?;
        fleet.connect(&target.addresses, conns.max(1))?;
        Ok(Self {
            call,
            fleet,
            keys: KeyMaker::new(target.keys),
            key_count: target.keys.count,
            answers: Answers::default(),
            free: Vec::new(),
            goes_round: false,
            unanswered: 0,
            issued: 0,
            bytes: Vec::new(),
            tally: Tally::new(),
        })
    }

    /// Begins one call; `key` None is a random one.
    fn issue(&mut self, start_ns: u64, key: Option<u64>) -> Result<()> {
        self.bytes.clear();
        let (path, expect, is_put) = self.encode(start_ns, key);
        let slot = Slot {
            start_ns,
            expect,
            answered: false,
            is_put,
        };
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.answers.slots.push(slot);
                self.answers.slots.len() - 1
            }
        };
        self.answers.slots[at] = slot;
        // A closed loop keeps a slot on its connection; an open loop goes round.
        let turn = if self.goes_round {
            self.issued as usize
        } else {
            at
        };
        let conn = turn % self.fleet.len();
        self.issued += 1;
        self.unanswered += 1;
        self.fleet.unary(conn, path, at as u64, &self.bytes)
    }

    fn encode(&mut self, start_ns: u64, key: Option<u64>) -> (&'static str, Expect, bool) {
        let call = match self.call {
            Call::Mixed if self.issued.is_multiple_of(2) => Call::Put,
            Call::Mixed => Call::Get {
                serializable: false,
            },
            other => other,
        };
        match call {
            Call::Put | Call::Mixed => {
                let n = key.unwrap_or_else(|| self.keys.pick(0));
                let (key, filler) = self.keys.pair(PLAIN, n);
                wire::put(&mut self.bytes, key, start_ns, filler);
                (wire::PUT, Expect::Message, true)
            }
            Call::Get { serializable } => {
                let n = self.keys.pick(0);
                let key = self.keys.key(PLAIN, n);
                wire::range(&mut self.bytes, key, &[], 0, serializable);
                (wire::RANGE, Expect::Keys(1), false)
            }
            Call::Range { limit } => {
                let n = self.keys.pick(limit);
                let key = self.keys.key(PLAIN, n);
                wire::range(&mut self.bytes, key, &[PLAIN + 1], limit, false);
                (wire::RANGE, Expect::Keys(limit.min(self.key_count)), false)
            }
            Call::LeaseGrant => {
                wire::lease_grant(&mut self.bytes, 3600);
                (wire::LEASE_GRANT, Expect::Lease, false)
            }
        }
    }

    /// Waits for answers until `deadline_ns` and counts those that came; returns how many ended.
    fn turn(&mut self, deadline_ns: u64) -> Result<usize> {
        self.fleet.turn(deadline_ns, &mut self.answers)?;
        let mut ended = std::mem::take(&mut self.answers.ended);
        let count = ended.len();
        for (at, now_ns, outcome) in ended.drain(..) {
            self.unanswered -= 1;
            self.free.push(at);
            let slot = self.answers.slots[at];
            if outcome != Outcome::Ok {
                self.tally.errors.note(&outcome);
                continue;
            }
            if !slot.answered {
                self.tally
                    .errors
                    .add("answer missing, malformed or not what was asked", 1);
                continue;
            }
            let took = now_ns.saturating_sub(slot.start_ns);
            let tally = &mut self.tally;
            let part = if slot.is_put {
                &mut tally.puts
            } else {
                &mut tally.others
            };
            part.record(took);
        }
        self.answers.ended = ended;
        ensure!(
            !self.tally.errors.too_many(),
            "too many errors: {:?}",
            self.tally.errors.by_text
        );
        Ok(count)
    }

    /// Waits for what is still unanswered; returns how many calls never were.
    fn drain(&mut self) -> Result<usize> {
        let deadline = clock::now() + DRAIN_TIMEOUT.as_nanos() as u64;
        while self.unanswered > 0 && clock::now() < deadline {
            self.turn(deadline)?;
        }
        Ok(self.unanswered)
    }
}

/// Runs a unary workload once.
///
/// # Errors
/// If a connection fails or errors are too many.
pub(super) fn run(call: Call, pace: Pace, conns: usize, target: &Target) -> Result<Measurement> {
    let mut load = Unary::new(call, conns, target)?;
    match pace {
        Pace::Closed { in_flight } => closed(&mut load, in_flight, target),
        Pace::Open { rate_per_s } => open(&mut load, rate_per_s, target),
    }
}

/// Counts calls that end within the window.
fn closed(load: &mut Unary, in_flight: usize, target: &Target) -> Result<Measurement> {
    for _ in 0..in_flight {
        load.issue(clock::now(), None)?;
    }
    let begin = clock::now() + target.warm_up.as_nanos() as u64;
    spin_closed(load, begin)?;
    load.tally = Tally::new();
    let first = target.gauge.read();
    spin_closed(load, clock::now() + target.window.as_nanos() as u64)?;
    let usage = target.gauge.read().since(&first);
    let tally = std::mem::replace(&mut load.tally, Tally::new());
    let mut errors = tally.errors.clone();
    errors.add("no answer within the drain time", load.drain()? as u64);
    Ok(finish(&tally, &usage, target, errors))
}

fn spin_closed(load: &mut Unary, until_ns: u64) -> Result<()> {
    loop {
        let ended = load.turn(until_ns)?;
        let now = clock::now();
        for _ in 0..ended {
            load.issue(now, None)?;
        }
        if now >= until_ns {
            return Ok(());
        }
    }
}

/// Counts calls whose intended start lies in the window, however long they take.
fn open(load: &mut Unary, rate_per_s: u64, target: &Target) -> Result<Measurement> {
    load.goes_round = true;
    spin_open(load, rate_per_s, target.warm_up.as_nanos() as u64)?;
    let late = load.drain()?;
    ensure!(
        late == 0,
        "{late} calls of the warm-up are unanswered after {DRAIN_TIMEOUT:?}"
    );
    load.tally = Tally::new();
    let first = target.gauge.read();
    let overload = spin_open(load, rate_per_s, target.window.as_nanos() as u64)?;
    let late = load.drain()?;
    let usage = target.gauge.read().since(&first);
    let tally = std::mem::replace(&mut load.tally, Tally::new());
    let mut errors = tally.errors.clone();
    errors.add("not sent: too many unanswered calls", overload);
    errors.add("no answer within the drain time", late as u64);
    Ok(finish(&tally, &usage, target, errors))
}

/// Returns the calls that were due but not sent because too many were unanswered.
fn spin_open(load: &mut Unary, rate_per_s: u64, length_ns: u64) -> Result<u64> {
    let start = clock::now();
    let mut schedule = Schedule::new(start, rate_per_s);
    let mut overload = 0;
    loop {
        let now = clock::now();
        while let Some(due) = schedule.take(now.min(start + length_ns - 1)) {
            if load.unanswered >= OUTSTANDING_MAX {
                overload += 1;
            } else {
                load.issue(due, None)?;
            }
        }
        if now >= start + length_ns {
            return Ok(overload);
        }
        load.turn(schedule.next_due().min(start + length_ns))?;
    }
}

fn finish(tally: &Tally, usage: &Usage, target: &Target, errors: Errors) -> Measurement {
    let mut all = tally.puts.clone();
    all.merge(&tally.others);
    let mut m = Measurement::new(all.count(), &all, usage, &target.gauge, errors);
    if tally.puts.count() > 0 && tally.others.count() > 0 {
        m.extra.insert("put_p50_us", tally.puts.us(0.5));
        m.extra.insert("put_p99_us", tally.puts.us(0.99));
        m.extra.insert("get_p50_us", tally.others.us(0.5));
        m.extra.insert("get_p99_us", tally.others.us(0.99));
    }
    m
}

/// Writes every key once, so that gets and ranges find them.
///
/// # Errors
/// If any put fails.
pub(crate) fn preload(target: &Target) -> Result<()> {
    const IN_FLIGHT: usize = 256;
    let mut load = Unary::new(Call::Put, 8, target)?;
    for n in 0..target.keys.count {
        while load.unanswered >= IN_FLIGHT {
            load.turn(clock::now() + DRAIN_TIMEOUT.as_nanos() as u64)?;
        }
        load.issue(clock::now(), Some(n))?;
    }
    let missing = load.drain()? as u64 + load.tally.errors.total;
    if missing > 0 {
        bail!(
            "{missing} of {} keys not written: {:?}",
            target.keys.count,
            load.tally.errors.by_text
        );
    }
    Ok(())
}

/// Watches the server do nothing for the length of a window.
///
/// # Errors
/// If the program is interrupted.
pub(super) fn idle(target: &Target) -> Result<Measurement> {
    let mut fleet = Fleet::new()?;
    let first = target.gauge.read();
    let end = clock::now() + target.window.as_nanos() as u64;
    while clock::now() < end {
        fleet.turn(end, &mut Answers::default())?;
    }
    let usage = target.gauge.read().since(&first);
    // An operation of this workload is one second of doing nothing.
    let mut m = Measurement::new(1, &Latency::new(), &usage, &target.gauge, Errors::default());
    m.server_us_per_op = m.server_us_per_op.map(|us| us / usage.seconds);
    m.extra.insert("rss_bytes", target.gauge.rss() as f64);
    Ok(m)
}
