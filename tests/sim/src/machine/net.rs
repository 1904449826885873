//! The network: byte streams with latency, links that can be cut one way, connections that break.
//!
//! What is sent over a cut link is not lost but held, as TCP would send it again; it arrives some time
//! after the link is back, unless the connection was broken meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::ReadBuf;
use tokio::sync::oneshot;

use super::stream::SimStream;
use crate::limits::PIPE_BYTES_MAX;
use crate::rng::Rng;
use crate::trace::Trace;

/// How a host leaves the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Down {
    /// The kernel lives on and closes the connections.
    Process,
    /// Nobody is told.
    Machine,
}

#[derive(Debug)]
enum Chunk {
    Data(Vec<u8>),
    End,
}

#[derive(Debug, Default)]
struct Pipe {
    /// On their way; the heap of events says when they arrive.
    flying: VecDeque<Chunk>,
    flying_bytes: usize,
    /// Arrived and not read.
    ready: VecDeque<u8>,
    last_arrival: u64,
    /// Held back by a cut link, so many chunks.
    held: usize,
    ended: bool,
    /// Nothing more can be written: this end closed, or heard that the other is gone.
    shut: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug)]
struct Conn {
    hosts: [usize; 2],
    /// `pipes[s]` carries what side `s` writes.
    pipes: [Pipe; 2],
    /// Sides whose process or machine is gone.
    gone: [bool; 2],
}

#[derive(Debug)]
enum Event {
    Arrive {
        conn: u64,
        side: usize,
    },
    Call {
        from: usize,
        to: usize,
        answer: oneshot::Sender<io::Result<SimStream>>,
    },
    Connected {
        from: usize,
        to: usize,
        answer: oneshot::Sender<io::Result<SimStream>>,
        conn: Option<u64>,
    },
}

#[derive(Debug, Default)]
struct Listening {
    on: bool,
    up: bool,
    waiting: VecDeque<SimStream>,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct State {
    now: u64,
    rng: Rng,
    latency_us: u64,
    hosts: Vec<Listening>,
    cut: BTreeSet<(usize, usize)>,
    conns: BTreeMap<u64, Conn>,
    events: BTreeMap<(u64, u64), Event>,
    next: u64,
    unanswered: Vec<oneshot::Sender<io::Result<SimStream>>>,
    trace: Trace,
    bytes: u64,
}

/// The network; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Net(Arc<Mutex<State>>);

impl Net {
    pub(crate) fn new(rng: Rng, latency_us: u64, trace: Trace) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: 0,
            rng,
            latency_us,
            hosts: Vec::new(),
            cut: BTreeSet::new(),
            conns: BTreeMap::new(),
            events: BTreeMap::new(),
            next: 0,
            unanswered: Vec::new(),
            trace,
            bytes: 0,
        })))
    }

    pub(crate) fn add_host(&self) {
        self.0.lock().hosts.push(Listening::default());
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.lock().bytes
    }

    /// Lets everything arrive that is due.
    pub(crate) fn step(&self, now: u64) {
        let mut dropped = Vec::new();
        let mut state = self.0.lock();
        state.now = now;
        while let Some(entry) = state.events.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let event = entry.remove();
            dropped.extend(state.happen(event, self));
        }
        drop(state);
        // Dropping a stream takes the lock.
        drop(dropped);
    }

    pub(crate) fn start_host(&self, host: usize) {
        let mut state = self.0.lock();
        state.hosts[host].up = true;
    }

    pub(crate) fn listen(&self, host: usize) {
        self.0.lock().hosts[host].on = true;
    }

    /// The process or machine of a host is gone. To be called before its memory is taken down.
    pub(crate) fn stop_host(&self, host: usize, down: Down) {
        let mut state = self.0.lock();
        let listening = &mut state.hosts[host];
        listening.on = false;
        listening.up = down == Down::Process;
        let waiting = std::mem::take(&mut listening.waiting);
        listening.waker = None;
        let numbers: Vec<u64> = state.conns.keys().copied().collect();
        for number in numbers {
            for side in 0..2 {
                let conn = state.conns.get_mut(&number).expect("listed above");
                if conn.hosts[side] != host || conn.gone[side] {
                    continue;
                }
                conn.gone[side] = true;
                conn.pipes[1 - side].reader = None;
                conn.pipes[side].writer = None;
                if down == Down::Process {
                    state.send_end(number, side);
                }
            }
        }
        drop(state);
        drop(waiting);
    }

    pub(crate) fn cut(&self, links: &[(usize, usize)]) {
        self.0.lock().cut.extend(links);
    }

    /// Mends links; what was held arrives a little later.
    pub(crate) fn mend(&self, links: &[(usize, usize)]) {
        let mut state = self.0.lock();
        for link in links {
            state.cut.remove(link);
        }
        let mut again = Vec::new();
        for (number, conn) in &mut state.conns {
            for side in 0..2 {
                let link = (conn.hosts[side], conn.hosts[1 - side]);
                if links.contains(&link) {
                    for _ in 0..std::mem::take(&mut conn.pipes[side].held) {
                        again.push((*number, side));
                    }
                }
            }
        }
        let pause = state.rng.range(1_000, 300_000);
        for (conn, side) in again {
            let at = state.now + pause;
            state.arrival(conn, side, at);
        }
    }

    /// Breaks connections between two hosts; both ends notice when they next hear of each other.
    pub(crate) fn break_connections(&self, a: usize, b: usize) -> usize {
        let mut state = self.0.lock();
        let between: Vec<u64> = state
            .conns
            .iter()
            .filter(|(_, c)| c.hosts == [a, b] || c.hosts == [b, a])
            .map(|(number, _)| *number)
            .collect();
        for number in &between {
            for side in 0..2 {
                let conn = state.conns.get_mut(number).expect("listed above");
                let pipe = &mut conn.pipes[side];
                pipe.flying.clear();
                pipe.flying_bytes = 0;
                pipe.held = 0;
                pipe.shut = false;
                state.send_end(*number, side);
            }
        }
        between.len()
    }

    /// Calls a host; the answer comes when its kernel answers, if ever.
    pub(super) fn call(&self, from: usize, to: usize) -> oneshot::Receiver<io::Result<SimStream>> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.0.lock();
        let at = state.now + state.latency();
        state.schedule(at, Event::Call { from, to, answer });
        answered
    }

    pub(super) fn poll_accept(&self, host: usize, cx: &mut Context<'_>) -> Poll<SimStream> {
        let mut state = self.0.lock();
        let listening = &mut state.hosts[host];
        match listening.waiting.pop_front() {
            Some(stream) => Poll::Ready(stream),
            None => {
                listening.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(super) fn poll_read(
        &self,
        conn: u64,
        side: usize,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        let Some(conn) = state.conns.get_mut(&conn) else {
            return Poll::Ready(Ok(()));
        };
        let pipe = &mut conn.pipes[1 - side];
        if pipe.ready.is_empty() {
            if pipe.ended {
                return Poll::Ready(Ok(()));
            }
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (front, _) = pipe.ready.as_slices();
        let n = front.len().min(buf.remaining());
        buf.put_slice(&front[..n]);
        pipe.ready.drain(..n);
        if let Some(waker) = pipe.writer.take() {
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write(
        &self,
        number: u64,
        side: usize,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        let state = &mut *state;
        let Some(conn) = state.conns.get_mut(&number) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let pipe = &mut conn.pipes[side];
        if pipe.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = PIPE_BYTES_MAX.saturating_sub(pipe.flying_bytes + pipe.ready.len());
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = room.min(bytes.len());
        pipe.flying.push_back(Chunk::Data(bytes[..n].to_vec()));
        pipe.flying_bytes += n;
        state.bytes += n as u64;
        state.trace.note(&[
            number,
            side as u64,
            n as u64,
            u64::from(crc32fast::hash(&bytes[..n])),
        ]);
        state.depart(number, side);
        Poll::Ready(Ok(n))
    }

    pub(super) fn close(&self, conn: u64, side: usize) {
        self.0.lock().send_end(conn, side);
    }

    pub(super) fn drop_side(&self, number: u64, side: usize) {
        let mut state = self.0.lock();
        let Some(conn) = state.conns.get_mut(&number) else {
            return;
        };
        if !conn.gone[side] {
            conn.gone[side] = true;
            state.send_end(number, side);
        }
    }
}

impl State {
    fn latency(&mut self) -> u64 {
        let most = self.latency_us;
        let slow = self.rng.one_in(50);
        self.rng.range(most / 4, most) * if slow { 10 } else { 1 }
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.next += 1;
        // Nothing arrives in the step in which it was sent.
        self.events.insert((at.max(self.now + 1), self.next), event);
    }

    fn arrival(&mut self, conn: u64, side: usize, at: u64) {
        let pipe = &mut self
            .conns
            .get_mut(&conn)
            .expect("a connection that sends")
            .pipes[side];
        pipe.last_arrival = pipe.last_arrival.max(at);
        let at = pipe.last_arrival;
        self.schedule(at, Event::Arrive { conn, side });
    }

    fn depart(&mut self, conn: u64, side: usize) {
        let at = self.now + self.latency();
        self.arrival(conn, side, at);
    }

    fn send_end(&mut self, number: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&number) else {
            return;
        };
        let pipe = &mut conn.pipes[side];
        if pipe.shut {
            return;
        }
        pipe.shut = true;
        pipe.flying.push_back(Chunk::End);
        self.depart(number, side);
    }

    /// Returns streams to be dropped without the lock.
    fn happen(&mut self, event: Event, net: &Net) -> Option<SimStream> {
        match event {
            Event::Arrive { conn, side } => {
                self.arrive(conn, side);
                None
            }
            Event::Call { from, to, answer } => {
                let up = self.hosts.get(to).is_some_and(|host| host.up);
                if self.cut.contains(&(from, to)) || !up {
                    self.leave_waiting(answer);
                    return None;
                }
                let conn = self.hosts[to].on.then(|| self.accept(from, to, net));
                let at = self.now + self.latency();
                let event = Event::Connected {
                    from,
                    to,
                    answer,
                    conn,
                };
                self.schedule(at, event);
                None
            }
            Event::Connected {
                from,
                to,
                answer,
                conn,
            } => {
                if self.cut.contains(&(to, from)) {
                    self.leave_waiting(answer);
                    return None;
                }
                let result = match conn {
                    None => Err(io::ErrorKind::ConnectionRefused.into()),
                    Some(conn) => Ok(SimStream {
                        net: net.clone(),
                        conn,
                        side: 0,
                    }),
                };
                answer.send(result).err().and_then(Result::ok)
            }
        }
    }

    /// Nobody answers: the caller waits until it gives up.
    fn leave_waiting(&mut self, answer: oneshot::Sender<io::Result<SimStream>>) {
        self.unanswered.retain(|answer| !answer.is_closed());
        self.unanswered.push(answer);
    }

    fn accept(&mut self, from: usize, to: usize, net: &Net) -> u64 {
        self.next += 1;
        let number = self.next;
        self.conns.insert(
            number,
            Conn {
                hosts: [from, to],
                pipes: Default::default(),
                gone: [false; 2],
            },
        );
        let listening = &mut self.hosts[to];
        listening.waiting.push_back(SimStream {
            net: net.clone(),
            conn: number,
            side: 1,
        });
        if let Some(waker) = listening.waker.take() {
            waker.wake();
        }
        number
    }

    fn arrive(&mut self, number: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&number) else {
            return;
        };
        let link = (conn.hosts[side], conn.hosts[1 - side]);
        let other_gone = conn.gone[1 - side];
        let pipe = &mut conn.pipes[side];
        if pipe.flying.is_empty() {
            return;
        }
        if self.cut.contains(&link) {
            pipe.held += 1;
            return;
        }
        if other_gone && !self.hosts[link.1].up {
            // A machine without power says nothing.
            return;
        }
        let chunk = pipe.flying.pop_front().expect("checked above");
        match chunk {
            Chunk::Data(bytes) => {
                pipe.flying_bytes -= bytes.len();
                if other_gone {
                    // Its kernel knows nothing of this connection (any more).
                    self.send_end(number, 1 - side);
                } else {
                    pipe.ready.extend(bytes);
                }
            }
            Chunk::End => {
                pipe.ended = true;
                if let Some(waker) = pipe.writer.take() {
                    waker.wake();
                }
                let back = &mut conn.pipes[1 - side];
                back.shut = true;
                if let Some(waker) = back.writer.take() {
                    waker.wake();
                }
            }
        }
        let conn = self.conns.get_mut(&number).expect("found above");
        if let Some(waker) = conn.pipes[side].reader.take() {
            waker.wake();
        }
        if conn.gone == [true; 2] && conn.pipes.iter().all(|p| p.flying.is_empty()) {
            self.conns.remove(&number);
        }
    }
}
