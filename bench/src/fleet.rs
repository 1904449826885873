//! Many connections on one thread: an epoll loop with a precise timer.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{Timespec, epoll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::conn::{Conn, Outcome, Sink};
use crate::limits::{CALL_TIMEOUT, CONNECT_BATCH, POLL_MAX, READ_BYTES};
use crate::{clock, interrupt};

const TIMER_KEY: u64 = u64::MAX;
const EVENTS_PER_POLL: usize = 1024;

pub(crate) struct Fleet {
    epoll: OwnedFd,
    timer: OwnedFd,
    armed_ns: u64,
    conns: Vec<Conn>,
    /// Connections with queued output, each once.
    dirty: Vec<usize>,
    is_dirty: Vec<bool>,
    /// Connections whose socket was full; epoll tells when it is not.
    waits_for_room: Vec<bool>,
    scratch: Box<[u8]>,
    events: Vec<epoll::Event>,
}

impl Fleet {
    /// A fleet without connections.
    ///
    /// # Errors
    /// If the kernel refuses an epoll or timer descriptor.
    pub(crate) fn new() -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        // Edge-triggered, so an expired timer need not be read.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER_KEY), flags)?;
        // The default slack of 50 µs would be part of every open-loop latency.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        Ok(Self {
            epoll,
            timer,
            armed_ns: 0,
            conns: Vec::new(),
            dirty: Vec::new(),
            is_dirty: Vec::new(),
            waits_for_room: Vec::new(),
            scratch: vec![0; READ_BYTES].into(),
            events: Vec::with_capacity(EVENTS_PER_POLL),
        })
    }

    /// Opens `count` more connections, spread over `addresses` in turn, and completes their handshakes.
    ///
    /// # Errors
    /// If one of them fails or does not answer in time.
    pub(crate) fn connect(&mut self, addresses: &[SocketAddr], count: usize) -> Result<()> {
        let first = self.conns.len();
        while self.conns.len() < first + count {
            let batch = self.conns.len();
            let end = (batch + CONNECT_BATCH).min(first + count);
            for i in batch..end {
                let address = addresses[(i - first) % addresses.len()];
                let conn = Conn::open(address).with_context(|| format!("connection {i}"))?;
                let data = epoll::EventData::new_u64(i as u64);
                epoll::add(&self.epoll, conn.socket(), data, epoll::EventFlags::IN)?;
                self.conns.push(conn);
                self.is_dirty.push(false);
                self.waits_for_room.push(false);
                self.touch(i);
            }
            let deadline = clock::now() + CALL_TIMEOUT.as_nanos() as u64;
            while !self.conns[batch..end].iter().all(Conn::is_ready) {
                ensure!(
                    clock::now() < deadline,
                    "no HTTP/2 SETTINGS within {CALL_TIMEOUT:?}"
                );
                self.turn(deadline, &mut Ignore)?;
            }
        }
        self.flush()
    }

    pub(crate) fn len(&self) -> usize {
        self.conns.len()
    }

    /// See `Conn::call`; the bytes leave with the next `turn`.
    ///
    /// # Errors
    /// If the connection cannot take it.
    pub(crate) fn call(
        &mut self,
        conn: usize,
        path: &'static str,
        tag: u64,
        bytes: &[u8],
        end_stream: bool,
    ) -> Result<u32> {
        ensure!(
            self.conns[conn].has_room(),
            "server allows too few concurrent streams"
        );
        let stream = self.conns[conn].call(path, tag, bytes, end_stream)?;
        self.touch(conn);
        Ok(stream)
    }

    /// See `Conn::unary`.
    ///
    /// # Errors
    /// If the connection cannot take it.
    pub(crate) fn unary(
        &mut self,
        conn: usize,
        path: &'static str,
        tag: u64,
        bytes: &[u8],
    ) -> Result<()> {
        self.conns[conn].unary(path, tag, bytes)?;
        self.touch(conn);
        Ok(())
    }

    /// See `Conn::send`.
    ///
    /// # Errors
    /// If the connection cannot take it.
    pub(crate) fn send(&mut self, conn: usize, stream: u32, bytes: &[u8]) -> Result<()> {
        self.conns[conn].send(stream, bytes, false)?;
        self.touch(conn);
        Ok(())
    }

    fn touch(&mut self, conn: usize) {
        if !self.is_dirty[conn] {
            self.is_dirty[conn] = true;
            self.dirty.push(conn);
        }
    }

    /// Writes what is queued, then waits until something arrives or `deadline_ns`, and reads it.
    /// Returns early at least every `POLL_MAX`.
    ///
    /// # Errors
    /// If a connection fails, or the program was interrupted.
    pub(crate) fn turn(&mut self, deadline_ns: u64, sink: &mut impl Sink) -> Result<()> {
        self.flush()?;
        if interrupt::requested() {
            bail!(interrupt::Interrupted);
        }
        let timeout = self.arm(deadline_ns)?;
        self.events.clear();
        let buffer = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, buffer, Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(e) => return Err(io::Error::from(e).into()),
        }
        for at in 0..self.events.len() {
            let event = self.events[at];
            let (key, flags) = (event.data.u64(), event.flags);
            if key == TIMER_KEY {
                continue;
            }
            let i = key as usize;
            if flags.contains(epoll::EventFlags::OUT) {
                self.touch(i);
            }
            if flags != epoll::EventFlags::OUT {
                self.conns[i].read(&mut self.scratch, sink)?;
                if self.conns[i].has_output() {
                    self.touch(i);
                }
            }
        }
        Ok(())
    }

    /// Sets the timer if the deadline is near; returns the timeout for epoll, whole milliseconds.
    fn arm(&mut self, deadline_ns: u64) -> Result<Timespec> {
        let poll = POLL_MAX.as_nanos() as u64;
        let left = deadline_ns.saturating_sub(clock::now());
        if left == 0 {
            return Ok(clock::timespec(0));
        }
        if left < poll && deadline_ns != self.armed_ns {
            let zero = clock::timespec(0);
            let when = Itimerspec {
                it_interval: zero,
                it_value: clock::timespec(deadline_ns),
            };
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &when)?;
            self.armed_ns = deadline_ns;
        }
        Ok(clock::timespec(poll))
    }

    fn flush(&mut self) -> Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        for i in dirty.drain(..) {
            self.is_dirty[i] = false;
            let conn = &mut self.conns[i];
            conn.flush()?;
            if conn.has_output() != self.waits_for_room[i] {
                self.waits_for_room[i] = conn.has_output();
                let mut flags = epoll::EventFlags::IN;
                flags.set(epoll::EventFlags::OUT, conn.has_output());
                let data = epoll::EventData::new_u64(i as u64);
                epoll::modify(&self.epoll, conn.socket(), data, flags)?;
            }
        }
        self.dirty = dirty;
        Ok(())
    }
}

/// A sink for handshakes.
#[derive(Debug)]
struct Ignore;

impl Sink for Ignore {
    fn arrived(&mut self, _: u64) {}
    fn message(&mut self, _: u64, _: &[u8]) {}
    fn end(&mut self, _: u64, _: Outcome) {}
}

/// Keeps the answer of one call.
#[derive(Debug, Default)]
struct Answer {
    message: Vec<u8>,
    outcome: Option<Outcome>,
}

impl Sink for Answer {
    fn arrived(&mut self, _: u64) {}

    fn message(&mut self, _: u64, message: &[u8]) {
        self.message = message.to_vec();
    }

    fn end(&mut self, _: u64, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

/// One call over a connection of its own, for set-up work.
///
/// # Errors
/// If it fails, is refused, or takes longer than `CALL_TIMEOUT`.
pub(crate) fn call_once(address: SocketAddr, path: &'static str, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut fleet = Fleet::new()?;
    fleet.connect(&[address], 1)?;
    fleet.unary(0, path, 0, bytes)?;
    let mut answer = Answer::default();
    let deadline = clock::now() + CALL_TIMEOUT.as_nanos() as u64;
    loop {
        match answer.outcome {
            Some(Outcome::Ok) => return Ok(answer.message),
            Some(other) => bail!("{path}: {other:?}"),
            None => {}
        }
        ensure!(
            clock::now() < deadline,
            "{path}: no answer within {CALL_TIMEOUT:?}"
        );
        fleet.turn(deadline, &mut answer)?;
    }
}
