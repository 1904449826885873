//! The connection against an independent HTTP/2 client, and against damage.

use super::conn::{Conn, ConnOptions};
use super::receive::Event;
use super::{Inbox, PREFACE, frame};
use crate::grpc::{self, Code, Status};
use bytes::Bytes;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const OPTIONS: ConnOptions = ConnOptions {
    message_bytes_max: 1 << 20,
    streams_max: 100,
    ping_interval_min: Duration::from_secs(5),
};

/// Answers every unary message with itself, every streamed message with two of it, and ends when the client does.
async fn echo(mut io: DuplexStream) {
    let mut conn = Conn::new(OPTIONS);
    let mut open: HashMap<u32, Rc<Inbox>> = HashMap::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let mut out = Vec::new();
        while conn.out.len() > 0 {
            let mut sink: Vec<u8> = Vec::new();
            let mut cx = Context::from_waker(Waker::noop());
            assert!(conn.out.poll_write(Pin::new(&mut sink), &mut cx).is_ready());
            out.extend_from_slice(&sink);
            conn.drained();
        }
        if !out.is_empty() && io.write_all(&out).await.is_err() {
            return;
        }
        let n = match io.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n) => n,
        };
        let mut events = Vec::new();
        if let Err(failure) = conn.receive(&buffer[..n], &mut events) {
            conn.fail(failure);
        }
        for event in events {
            match event {
                Event::Call {
                    stream, message, ..
                } => {
                    conn.message(stream, message.len(), &mut |out| {
                        out.extend_from_slice(&message)
                    });
                    conn.finish(stream, Status::OK);
                }
                Event::Open { stream, inbox, .. } => {
                    open.insert(stream, inbox);
                }
                Event::Http { stream, head } => {
                    conn.http_answer(stream, 200, &[("x-test", "yes")], head.path.clone());
                }
                Event::Refused { .. } => {}
            }
        }
        for (stream, inbox) in &open {
            while let Some(message) = conn.take_message(*stream, inbox) {
                let mut framed = Vec::new();
                for _ in 0..2 {
                    grpc::prefix(&mut framed, message.len());
                    framed.extend_from_slice(&message);
                }
                conn.framed(*stream, &mut vec![Bytes::from(framed)]);
            }
            if inbox.is_ended() {
                conn.finish(*stream, Status::new(Code::Aborted, "done: 100%"));
            }
        }
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut out = Vec::new();
    grpc::prefix(&mut out, message.len());
    out.extend_from_slice(message);
    Bytes::from(out)
}

fn request(path: &str) -> http::Request<()> {
    http::Request::builder()
        .method("POST")
        .uri(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

async fn collect(
    response: h2::client::ResponseFuture,
) -> (http::HeaderMap, Vec<u8>, http::HeaderMap) {
    let (head, mut body) = response.await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    let mut data = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        data.extend_from_slice(&chunk);
    }
    let trailers = body.trailers().await.unwrap().unwrap_or_default();
    (head.headers, data, trailers)
}

fn with_client<F>(window: u32, frame: u32, test: impl FnOnce(h2::client::SendRequest<Bytes>) -> F)
where
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (client, server) = tokio::io::duplex(1 << 14);
        tokio::task::spawn_local(echo(server));
        let (send, conn) = h2::client::Builder::new()
            .initial_window_size(window)
            .max_frame_size(frame)
            .handshake::<_, Bytes>(client)
            .await
            .unwrap();
        tokio::task::spawn_local(async move {
            let _ = conn.await;
        });
        tokio::time::timeout(Duration::from_secs(20), test(send))
            .await
            .unwrap();
    });
}

#[test]
fn unary_calls_of_all_sizes_with_small_and_large_windows() {
    for (window, frame) in [(65_535, 16_384), (1_000, 16_384), (1 << 20, 1 << 20)] {
        with_client(window, frame, |mut send| async move {
            for len in [0, 1, 100, 8_000, 16_379, 16_380, 70_000, 900_000] {
                send = send.ready().await.unwrap();
                let (response, mut body) = send
                    .send_request(request("/etcdserverpb.KV/Put"), false)
                    .unwrap();
                let message: Vec<u8> = (0..len).map(|i| i as u8).collect();
                body.send_data(framed(&message), true).unwrap();
                let (head, data, trailers) = collect(response).await;
                assert_eq!(head["content-type"], "application/grpc");
                assert!(data == framed(&message), "length {len}");
                assert_eq!(trailers["grpc-status"], "0");
            }
        });
    }
}

#[test]
fn many_calls_at_once() {
    with_client(65_535, 16_384, |mut send| async move {
        let mut responses = Vec::new();
        for i in 0..90u32 {
            send = send.ready().await.unwrap();
            let (response, mut body) = send
                .send_request(request("/etcdserverpb.KV/Range"), false)
                .unwrap();
            // The end of the stream may come in a frame of its own.
            body.send_data(framed(&i.to_be_bytes()), i % 2 == 0)
                .unwrap();
            if i % 2 == 1 {
                body.send_data(Bytes::new(), true).unwrap();
            }
            responses.push(response);
        }
        for (i, response) in responses.into_iter().enumerate() {
            let (_, data, trailers) = collect(response).await;
            assert_eq!(data, framed(&(i as u32).to_be_bytes()));
            assert_eq!(trailers["grpc-status"], "0");
        }
    });
}

#[test]
fn streams_both_ways_and_their_status() {
    with_client(65_535, 16_384, |mut send| async move {
        let (response, mut body) = send
            .send_request(request("/etcdserverpb.Watch/Watch"), false)
            .unwrap();
        let mut expected = Vec::new();
        for i in 0..50u8 {
            let message = vec![i; usize::from(i) * 97];
            body.send_data(framed(&message), i == 49).unwrap();
            for _ in 0..2 {
                expected.extend_from_slice(&framed(&message));
            }
        }
        let (_, data, trailers) = collect(response).await;
        assert!(data == expected);
        assert_eq!(trailers["grpc-status"], "10");
        assert_eq!(trailers["grpc-message"], "done: 100%25");
    });
}

#[test]
fn refusals_come_in_a_single_frame() {
    with_client(65_535, 16_384, |mut send| async move {
        for (path, message, code, text) in [
            (
                "/no.Such/Thing",
                framed(b"x"),
                "12",
                "unknown service no.Such",
            ),
            (
                "/etcdserverpb.KV/Put",
                framed(&vec![0; (1 << 20) + 1]),
                "8",
                "grpc: received message larger than max (1048577 vs. 1048576)",
            ),
            ("/etcdserverpb.KV/Put", Bytes::new(), "2", "EOF"),
        ] {
            send = send.ready().await.unwrap();
            let (response, mut body) = send.send_request(request(path), false).unwrap();
            let _ = body.send_data(message, true);
            let (head, data, _) = collect(response).await;
            assert!(data.is_empty());
            assert_eq!(
                (&head["grpc-status"], &head["grpc-message"]),
                (&code.parse().unwrap(), &text.parse().unwrap())
            );
        }
    });
}

#[test]
fn plain_http_is_answered_too() {
    with_client(65_535, 16_384, |mut send| async move {
        let request = http::Request::builder()
            .uri("http://localhost/health?x=1")
            .body(())
            .unwrap();
        let (response, _) = send.send_request(request, true).unwrap();
        let (head, data, _) = collect(response).await;
        assert_eq!(head["x-test"], "yes");
        assert_eq!(data, b"/health?x=1");
    });
}

fn handshaken() -> Conn {
    let mut conn = Conn::new(OPTIONS);
    let mut bytes = PREFACE.to_vec();
    frame::settings(&mut bytes, &[]);
    conn.receive(&bytes, &mut Vec::new()).unwrap();
    conn
}

/// A whole call in bytes: headers without any table, one message, end of stream.
fn call_bytes(stream: u32, path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = vec![0x83, 0x86, 0x44, path.len() as u8];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x5f\x10application/grpc");
    frame::header(
        &mut out,
        block.len(),
        frame::kind::HEADERS,
        frame::flag::END_HEADERS,
        stream,
    );
    out.extend_from_slice(&block);
    let message = framed(b"hello");
    frame::header(
        &mut out,
        message.len(),
        frame::kind::DATA,
        frame::flag::END_STREAM,
        stream,
    );
    out.extend_from_slice(&message);
    out
}

#[test]
fn any_cut_of_the_bytes_gives_the_same_calls() {
    let mut bytes = PREFACE.to_vec();
    frame::settings(&mut bytes, &[(4, 100_000)]);
    for stream in [1, 3, 5] {
        bytes.extend_from_slice(&call_bytes(stream, "/etcdserverpb.KV/Put"));
    }
    for step in 1..=bytes.len() {
        let mut conn = Conn::new(OPTIONS);
        let mut events = Vec::new();
        for chunk in bytes.chunks(step) {
            conn.receive(chunk, &mut events).unwrap();
        }
        let streams: Vec<u32> = events
            .iter()
            .map(|event| match event {
                Event::Call {
                    stream, message, ..
                } if message == "hello" => *stream,
                other => panic!("unexpected {other:?}"),
            })
            .collect();
        assert_eq!(streams, [1, 3, 5], "step {step}");
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let mut good = PREFACE.to_vec();
    frame::settings(&mut good, &[(4, 100_000), (5, 20_000)]);
    good.extend_from_slice(&call_bytes(1, "/etcdserverpb.KV/Put"));
    good.extend_from_slice(&call_bytes(3, "/etcdserverpb.Watch/Watch"));
    frame::window_update(&mut good, 0, 1000);
    frame::rst_stream(&mut good, 3, frame::Code::NoError);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            let mut conn = Conn::new(OPTIONS);
            let _ = conn.receive(&bad, &mut Vec::new());
        }
    }
}

#[test]
fn abuse_closes_the_connection() {
    let fails = |bytes: &[u8]| {
        handshaken()
            .receive(bytes, &mut Vec::new())
            .unwrap_err()
            .to_string()
    };
    let one = |kind, flags, stream, payload: &[u8]| {
        let mut out = Vec::new();
        frame::header(&mut out, payload.len(), kind, flags, stream);
        out.extend_from_slice(payload);
        out
    };
    assert_eq!(fails(&one(0, 0, 0, b"x")), "data on an idle stream");
    assert_eq!(fails(&one(1, 4, 2, b"")), "headers on an invalid stream");
    assert_eq!(fails(&one(1, 0xc, 1, &[9])), "padding exceeds frame");
    assert_eq!(fails(&one(5, 0, 1, b"")), "client push");
    assert_eq!(fails(&one(8, 0, 0, &[0; 4])), "empty window update");
    assert_eq!(
        fails(&one(8, 0, 0, &0x7fff_ffffu32.to_be_bytes())),
        "window overflow"
    );
    assert_eq!(fails(&one(1, 4, 1, &[0x80])), "bad header block");
    assert_eq!(fails(&[0xff; 9]), "frame too large");
    let pings = one(6, 0, 0, &[0; 8]).repeat(4);
    assert_eq!(fails(&pings), "too_many_pings");
    let mut endless = one(1, 0, 1, &[0; 100]);
    for _ in 0..10 {
        endless.extend_from_slice(&one(9, 0, 1, &[0; 16_000]));
    }
    assert_eq!(fails(&endless), "header block too large");
    let bad = Conn::new(OPTIONS).receive(b"GET / HTTP/1.1\r\n", &mut Vec::new());
    assert_eq!(bad.unwrap_err().to_string(), "bad connection preface");
}

#[test]
fn pings_between_the_frames_of_a_large_answer_are_no_abuse() {
    let mut conn = handshaken();
    let mut events = Vec::new();
    conn.receive(&call_bytes(1, "/etcdserverpb.KV/Range"), &mut events)
        .unwrap();
    let large = vec![0; 1 << 20];
    conn.message(1, large.len(), &mut |out| out.extend_from_slice(&large));
    let mut more = Vec::new();
    frame::header(&mut more, 8, frame::kind::PING, 0, 0);
    more.extend_from_slice(&[0; 8]);
    frame::window_update(&mut more, 0, 32_768);
    frame::window_update(&mut more, 1, 32_768);
    for _ in 0..20 {
        conn.receive(&more, &mut events).unwrap();
        let mut sink: Vec<u8> = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(conn.out.poll_write(Pin::new(&mut sink), &mut cx).is_ready());
        conn.drained();
    }
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let mut conn = handshaken();
    let mut events = Vec::new();
    for i in 0..150 {
        conn.receive(&call_bytes(1 + 2 * i, "/etcdserverpb.KV/Put"), &mut events)
            .unwrap();
    }
    assert_eq!(events.len(), 100);
    assert_eq!(conn.open_streams(), 100);
}
