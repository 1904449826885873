//! The order of reads and writes against a socket whose readiness the test decides.

mod peer;
mod wire;

use super::*;
use crate::http2::Inbox;
use crate::serve::call::{Duplex, Incoming, Reply};
use bytes::Bytes;
use peer::{Peer, frame};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Waker;
use wire::{Socket, Wire, Woken};

/// What a message of a stream costs besides its content: gRPC's prefix, and tag and length of its one field.
const MESSAGE_OVERHEAD_SMALL: usize = 5 + 2;

/// Answers plain requests with bodies of these sizes in turn, and streaming calls with as many messages of 100 bytes as
/// their first message says.
struct Answers {
    bodies: &'static [usize],
}

impl Answers {
    fn body(&self, stream: u32) -> usize {
        self.bodies[stream as usize / 2 % self.bodies.len()]
    }
}

impl Service for Answers {
    fn handle(self: &Rc<Self>, conn: &Rc<RefCell<Conn>>, event: Event) -> Option<Pending> {
        match event {
            Event::Http { stream, .. } => {
                let body = Bytes::from(vec![0; self.body(stream)]);
                Reply::new(conn, stream).http(200, &[], body);
                None
            }
            Event::Open { stream, inbox, .. } => {
                Some(Box::pin(tell(Rc::clone(conn), stream, inbox)))
            }
            _ => None,
        }
    }
}

async fn tell(conn: Rc<RefCell<Conn>>, stream: u32, inbox: Rc<Inbox>) {
    let duplex = Duplex::new(&conn, stream, inbox);
    let Incoming::Message(asked) = duplex.next().await else {
        return;
    };
    let messages = u32::from_be_bytes(asked[..].try_into().unwrap());
    for _ in 0..messages {
        duplex.room().await;
        duplex.reply.push(&Bytes::from_static(&[1; 100]));
    }
    duplex.reply.finish(crate::grpc::Status::OK);
}

/// A driver, polled only when somebody woke it.
struct Fixture {
    driver: Driver<Socket, Answers>,
    wire: Rc<RefCell<Wire>>,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Fixture {
    fn new(bodies: &'static [usize]) -> Self {
        let wire = Rc::new(RefCell::new(Wire::default()));
        let options = ConnOptions {
            message_bytes_max: 1 << 20,
            streams_max: 1000,
            ping_interval_min: Duration::ZERO,
        };
        let silent = KeepAlive {
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
        };
        let driver = Driver::new(
            Socket(Rc::clone(&wire)),
            &[],
            options,
            silent,
            Rc::new(Answers { bodies }),
            Registry::new(Arc::default()),
            Traffic::new(&Arc::default()),
        );
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        Self {
            driver,
            wire,
            woken,
            waker,
        }
    }

    fn run(&mut self) {
        for _ in 0..10_000 {
            if !self.woken.0.swap(false, SeqCst) {
                return;
            }
            let mut cx = Context::from_waker(&self.waker);
            assert!(Pin::new(&mut self.driver).poll(&mut cx).is_pending());
        }
        panic!("a driver with nothing to do goes on for ever");
    }
}

#[test]
fn a_window_update_that_came_while_output_was_full_was_left_unread() {
    const BODY: usize = 1 << 20;
    // The window ends where the output is just full.
    let mut peer = Peer::new(256 << 10, 256 << 10);
    let mut server = Fixture::new(&[BODY]);
    server.wire.borrow_mut().take(1 << 10);
    server.wire.borrow_mut().arrive(&peer.sending);
    server.run();
    // The answer fills the output, of which the socket takes nothing.
    server.wire.borrow_mut().take(0);
    peer.sending.clear();
    peer.get();
    server.wire.borrow_mut().arrive(&peer.sending);
    server.run();
    // The peer has room for more, and the socket takes all there is: both at once.
    let more = (BODY as u32).to_be_bytes();
    let updates = [frame(8, 0, 0, &more), frame(8, 0, 1, &more)].concat();
    server.wire.borrow_mut().arrive(&updates);
    server.wire.borrow_mut().take(usize::MAX);
    server.run();
    let wire = server.wire.borrow();
    assert!(wire.arrived.is_empty(), "the update was left unread");
    assert!(wire.sent.len() > BODY, "only {} bytes", wire.sent.len());
}

/// Small, reproducible, and good enough to choose between cases.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        // Knuth's multiplier for linear congruential generators of 64 bits.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % n
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

const BODIES: &[usize] = &[0, 10, 9_000, 16_384, 70_000, 262_144, 300_000, 1_000_000];
const WINDOWS: &[u32] = &[1, 1_000, 65_535, 65_536, 262_144, 1 << 20, 2 << 20];
const CALLS_MAX: usize = 12;

/// Lets anything happen in any order, then everything the server may ask for: every answer must arrive, whole.
fn all_arrives(seed: u64) {
    let mut dice = Dice(seed);
    let mut peer = Peer::new(dice.of(WINDOWS), dice.of(WINDOWS).max(65_535));
    let mut server = Fixture::new(BODIES);
    let mut messages = std::collections::HashMap::new();
    for _ in 0..200 {
        let some_call = dice.below(CALLS_MAX) as u32 * 2 + 1;
        match dice.below(12) {
            0 | 1 if peer.calls.len() < CALLS_MAX => peer.get(),
            2 if peer.calls.len() < CALLS_MAX => {
                let count = dice.of(&[0, 1, 50, 5_000]);
                messages.insert(peer.calls.len() as u32 * 2 + 1, count as usize);
                peer.stream(&u32::to_be_bytes(count));
            }
            3 | 4 => {
                server
                    .wire
                    .borrow_mut()
                    .take(dice.of(&[0, 1, 100, 9_000, 100_000, usize::MAX]))
            }
            5 | 6 => {
                let part = dice.of(&[1, 9, 30, usize::MAX]).min(peer.sending.len());
                let part: Vec<u8> = peer.sending.drain(..part).collect();
                if !part.is_empty() {
                    server.wire.borrow_mut().arrive(&part);
                }
            }
            7 => peer.give_back(0),
            8 => peer.give_back(some_call),
            9 => peer.enlarge(dice.of(&[1, 5_000, 65_536])),
            10 if dice.below(4) == 0 => peer.drop_call(some_call),
            11 => peer.ping(),
            _ => {
                let sent = std::mem::take(&mut server.wire.borrow_mut().sent);
                peer.receive(&sent);
            }
        }
        // Several things may have happened before the driver gets its turn.
        if dice.below(3) == 0 {
            server.run();
        }
    }
    // No window is smaller than a byte, so every round moves on.
    peer.enlarge(1 << 20);
    let mut quiet = 0;
    while quiet < 2 {
        peer.give_back(0);
        for id in peer.calls.keys().copied().collect::<Vec<_>>() {
            peer.give_back(id);
        }
        let sending = std::mem::take(&mut peer.sending);
        {
            let mut wire = server.wire.borrow_mut();
            if !sending.is_empty() {
                wire.arrive(&sending);
            }
            wire.take(usize::MAX);
        }
        server.run();
        let sent = std::mem::take(&mut server.wire.borrow_mut().sent);
        quiet = if sent.is_empty() { quiet + 1 } else { 0 };
        peer.receive(&sent);
    }
    assert!(
        server.wire.borrow().arrived.is_empty(),
        "seed {seed}: left unread"
    );
    for (id, call) in &peer.calls {
        let whole = match messages.get(id) {
            Some(count) => count * (100 + MESSAGE_OVERHEAD_SMALL),
            None => server.driver.service.body(*id),
        };
        let done = call.dropped || (call.ended && call.got == whole);
        assert!(
            done,
            "seed {seed}: stream {id} has {} of {whole} bytes",
            call.got
        );
    }
}

#[test]
fn whatever_the_order_every_answer_arrives() {
    for seed in 0..300 {
        all_arrives(seed);
    }
}
