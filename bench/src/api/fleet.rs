//! Many connections on one thread.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustix::event::epoll;
use tokio_rustls::rustls::ClientConfig;

use super::conn::{self, Conn};
use super::http::{self, Content, Piece};
use crate::limits::{API_CALL_TIMEOUT, CALL_TIMEOUT, CONNECT_BATCH, POLL_MAX};
use crate::{clock, interrupt};

const EVENTS_PER_POLL: usize = 1024;

pub(crate) struct Fleet {
    epoll: OwnedFd,
    tls: Arc<ClientConfig>,
    conns: Vec<Conn>,
    addresses: Vec<SocketAddr>,
    waits_for_room: Vec<bool>,
    events: Vec<epoll::Event>,
}

impl Fleet {
    /// A fleet without connections.
    ///
    /// # Errors
    /// If the kernel refuses a descriptor, or TLS is not to be had.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            tls: conn::tls()?,
            conns: Vec::new(),
            addresses: Vec::new(),
            waits_for_room: Vec::new(),
            events: Vec::with_capacity(EVENTS_PER_POLL),
        })
    }

    /// Opens `count` more connections, to the addresses in turn, and completes their handshakes.
    ///
    /// # Errors
    /// If one of them fails or takes too long.
    pub(crate) fn connect(&mut self, addresses: &[SocketAddr], count: usize) -> Result<()> {
        let first = self.conns.len();
        while self.conns.len() < first + count {
            let batch = self.conns.len();
            let end = (batch + CONNECT_BATCH).min(first + count);
            for i in batch..end {
                let address = addresses[(i - first) % addresses.len()];
                let conn = Conn::open(address, &self.tls)
                    .with_context(|| format!("connection {i} to {address}"))?;
                self.register(i, &conn)?;
                self.conns.push(conn);
                self.addresses.push(address);
                self.waits_for_room.push(false);
                self.flush(i)?;
            }
            self.complete(batch..end)?;
        }
        Ok(())
    }

    /// Replaces a connection by a new one: what was asked on the old one is forgotten.
    ///
    /// # Errors
    /// If the new one fails or takes too long.
    pub(crate) fn reopen(&mut self, i: usize) -> Result<()> {
        epoll::delete(&self.epoll, self.conns[i].socket())?;
        self.conns[i] = Conn::open(self.addresses[i], &self.tls)?;
        self.register(i, &self.conns[i])?;
        self.waits_for_room[i] = false;
        self.flush(i)
    }

    fn register(&self, i: usize, conn: &Conn) -> Result<()> {
        let data = epoll::EventData::new_u64(i as u64);
        epoll::add(&self.epoll, conn.socket(), data, epoll::EventFlags::IN)?;
        Ok(())
    }

    fn complete(&mut self, range: std::ops::Range<usize>) -> Result<()> {
        let deadline = clock::now() + CALL_TIMEOUT.as_nanos() as u64;
        while !self.conns[range.clone()].iter().all(Conn::is_ready) {
            ensure!(
                clock::now() < deadline,
                "no TLS handshake within {CALL_TIMEOUT:?}"
            );
            self.turn(deadline, &mut |_, _| {})?;
        }
        Ok(())
    }

    /// Sends a request.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(crate) fn send(&mut self, i: usize, request: &[u8]) -> Result<()> {
        self.conns[i].send(request)?;
        self.flush(i)
    }

    fn flush(&mut self, i: usize) -> Result<()> {
        let conn = &mut self.conns[i];
        conn.flush()?;
        let waits = conn.wants_write();
        if waits != self.waits_for_room[i] {
            self.waits_for_room[i] = waits;
            let mut flags = epoll::EventFlags::IN;
            flags.set(epoll::EventFlags::OUT, waits);
            let data = epoll::EventData::new_u64(i as u64);
            epoll::modify(&self.epoll, conn.socket(), data, flags)?;
        }
        Ok(())
    }

    /// Waits until something arrives or `deadline_ns`, and reads it. Returns early at least every `POLL_MAX`.
    ///
    /// # Errors
    /// If a connection fails, or the program was interrupted.
    pub(crate) fn turn(
        &mut self,
        deadline_ns: u64,
        sink: &mut impl FnMut(usize, Piece<'_>),
    ) -> Result<()> {
        if interrupt::requested() {
            bail!(interrupt::Interrupted);
        }
        let left = deadline_ns.saturating_sub(clock::now());
        let timeout = clock::timespec(left.min(POLL_MAX.as_nanos() as u64));
        self.events.clear();
        let buffer = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, buffer, Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(e) => return Err(io::Error::from(e).into()),
        }
        for at in 0..self.events.len() {
            let event = self.events[at];
            let (i, flags) = (event.data.u64() as usize, event.flags);
            if flags != epoll::EventFlags::OUT {
                self.conns[i]
                    .read(&mut |piece| sink(i, piece))
                    .with_context(|| format!("connection {i}"))?;
            }
            if self.conns[i].wants_write() || self.waits_for_room[i] {
                self.flush(i)?;
            }
        }
        Ok(())
    }
}

/// One request over a connection of its own, for set-up work: status and body.
///
/// # Errors
/// If there is no answer in time.
pub(crate) fn call_once(
    address: SocketAddr,
    token: &str,
    method: &str,
    path: &str,
    content: Content<'_>,
) -> Result<(u16, Vec<u8>)> {
    let mut fleet = Fleet::new()?;
    fleet.connect(&[address], 1)?;
    let mut request = Vec::new();
    http::request(&mut request, method, path, token, content);
    fleet.send(0, &request)?;
    let (mut body, mut end) = (Vec::new(), None);
    let deadline = clock::now() + API_CALL_TIMEOUT.as_nanos() as u64;
    loop {
        if let Some(status) = end {
            return Ok((status, body));
        }
        ensure!(
            clock::now() < deadline,
            "{path}: no answer within {API_CALL_TIMEOUT:?}"
        );
        fleet.turn(deadline, &mut |_, piece| match piece {
            Piece::Body(_, bytes) => body.extend_from_slice(bytes),
            Piece::End(status) => end = Some(status),
        })?;
    }
}
