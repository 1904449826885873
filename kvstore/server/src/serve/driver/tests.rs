//! The order of reads and writes against a socket whose readiness the test decides.

use super::*;
use crate::http2::PREFACE;
use crate::serve::call::Reply;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Wake, Waker};

/// A socket that tells of its readiness once per registration, as the operating system's does.
#[derive(Debug, Default)]
struct Wire {
    arrived: Vec<u8>,
    /// Bytes the socket still takes.
    takes: usize,
    sent: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    fn arrive(&mut self, bytes: &[u8]) {
        self.arrived.extend_from_slice(bytes);
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn take(&mut self, bytes: usize) {
        self.takes = bytes;
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

struct Socket(Rc<RefCell<Wire>>);

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if wire.arrived.is_empty() {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = wire.arrived.len().min(buf.remaining());
        buf.put_slice(&wire.arrived[..n]);
        wire.arrived.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        let n = wire.takes.min(buf.len());
        if n == 0 {
            wire.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        wire.takes -= n;
        wire.sent += n;
        Poll::Ready(Ok(n))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Answers every plain request with a body of so many bytes.
struct Large(usize);

impl Service for Large {
    fn handle(self: &Rc<Self>, conn: &Rc<RefCell<Conn>>, event: Event) -> Option<Pending> {
        if let Event::Http { stream, .. } = event {
            Reply::new(conn, stream).http(200, &[], Bytes::from(vec![0; self.0]));
        }
        None
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// Settings with a window for each stream, and as much for the connection.
fn hello(window: u32) -> Vec<u8> {
    let mut out = PREFACE.to_vec();
    let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
    out.extend(frame(4, 0, 0, &setting));
    out.extend(frame(8, 0, 0, &(window - 65_535).to_be_bytes()));
    out
}

#[test]
fn a_window_update_that_came_while_output_was_full_was_left_unread() {
    const BODY: usize = 1 << 20;
    // The window ends where the output is just full.
    const WINDOW: u32 = 256 << 10;
    let wire = Rc::new(RefCell::new(Wire::default()));
    let options = ConnOptions {
        message_bytes_max: 1 << 20,
        streams_max: 10,
        ping_interval_min: Duration::ZERO,
    };
    let silent = KeepAlive {
        interval: Duration::ZERO,
        timeout: Duration::ZERO,
    };
    let mut driver = Driver::new(
        Socket(Rc::clone(&wire)),
        &hello(WINDOW),
        options,
        silent,
        Rc::new(Large(BODY)),
        Registry::new(Arc::default()),
        Traffic::new(&Arc::default()),
    );
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut run = || {
        for _ in 0..100 {
            if !woken.0.swap(false, SeqCst) {
                return;
            }
            let mut cx = Context::from_waker(&waker);
            assert!(Pin::new(&mut driver).poll(&mut cx).is_pending());
        }
        panic!("a driver with nothing to do goes on for ever");
    };
    wire.borrow_mut().take(1 << 10);
    run();
    // `:method: GET`, `:path: /`: the answer fills the output, of which the socket takes nothing.
    wire.borrow_mut().take(0);
    wire.borrow_mut().arrive(&frame(1, 0x5, 1, &[0x82, 0x84]));
    run();
    // The peer had room for more, and the socket takes all there is: both at once.
    let more = (BODY as u32).to_be_bytes();
    wire.borrow_mut()
        .arrive(&[frame(8, 0, 0, &more), frame(8, 0, 1, &more)].concat());
    wire.borrow_mut().take(usize::MAX);
    run();
    assert!(
        wire.borrow().arrived.is_empty(),
        "the update was left unread"
    );
    assert!(
        wire.borrow().sent > BODY,
        "only {} bytes",
        wire.borrow().sent
    );
}
