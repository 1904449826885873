//! The connection against an independent HTTP/2 server (the h2 crate) in this process.

use std::net::SocketAddr;
use std::thread;

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::{Builder, SendResponse};
use http::{HeaderMap, Request, Response};

use super::{Outcome, Sink};
use crate::clock;
use crate::fleet::Fleet;
use crate::limits::{CONNECTION_WINDOW, DRAIN_TIMEOUT};

/// Collects what a call brought back.
#[derive(Debug, Default)]
struct Seen {
    messages: Vec<(u64, usize)>,
    ends: Vec<(u64, Outcome)>,
}

impl Sink for Seen {
    fn arrived(&mut self, _: u64) {}

    fn message(&mut self, tag: u64, message: &[u8]) {
        assert!(
            message.iter().all(|b| *b == 7),
            "a message arrives as it was sent"
        );
        self.messages.push((tag, message.len()));
    }

    fn end(&mut self, tag: u64, outcome: Outcome) {
        self.ends.push((tag, outcome));
    }
}

impl Seen {
    fn turn_until_ends(&mut self, fleet: &mut Fleet, count: usize) -> anyhow::Result<()> {
        let deadline = clock::now() + DRAIN_TIMEOUT.as_nanos() as u64;
        while self.ends.len() < count {
            anyhow::ensure!(clock::now() < deadline, "only {:?}", self.ends);
            fleet.turn(deadline, self)?;
        }
        Ok(())
    }
}

fn message(len: usize) -> Bytes {
    let mut bytes = BytesMut::with_capacity(len + 5);
    bytes.put_u8(0);
    bytes.put_u32(len as u32);
    bytes.put_bytes(7, len);
    bytes.freeze()
}

/// Starts a server for one connection; each request is answered by its path.
fn serve(configure: impl FnOnce(&mut Builder) + Send + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        runtime.block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let mut builder = Builder::new();
            configure(&mut builder);
            let mut connection = builder.handshake::<_, Bytes>(socket).await.unwrap();
            while let Some(Ok((request, respond))) = connection.accept().await {
                if request.uri().path() == "/goaway" {
                    connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
                    continue;
                }
                tokio::spawn(answer(request, respond));
            }
        });
    });
    address
}

async fn answer(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let path = request.uri().path().to_owned();
    let head = || {
        Response::builder()
            .header("content-type", "application/grpc")
            .body(())
            .unwrap()
    };
    let trailers = |status: &str, text: &str| {
        let mut map = HeaderMap::new();
        map.insert("grpc-status", status.parse().unwrap());
        map.insert("grpc-message", text.parse().unwrap());
        map
    };
    let mut body = request.into_body();
    let mut received = 0;
    while let Some(Ok(part)) = body.data().await {
        received += part.len();
        let _ = body.flow_control().release_capacity(part.len());
    }
    match path.as_str() {
        "/length" => {
            let mut stream = respond.send_response(head(), false).unwrap();
            stream.send_data(message(received), false).unwrap();
            stream.send_trailers(trailers("0", "")).unwrap();
        }
        "/flood" => {
            let mut stream = respond.send_response(head(), false).unwrap();
            for _ in 0..FLOOD_MESSAGES {
                stream.send_data(message(FLOOD_BYTES), false).unwrap();
            }
            stream.send_trailers(trailers("0", "")).unwrap();
        }
        "/refuse" => {
            let mut response = head();
            *response.headers_mut() = trailers("5", &"no ".repeat(12_000));
            respond.send_response(response, true).unwrap();
        }
        "/cut" => {
            respond.send_response(head(), true).unwrap();
        }
        _ => respond.send_reset(h2::Reason::REFUSED_STREAM),
    }
}

const FLOOD_MESSAGES: usize = 30;
const FLOOD_BYTES: usize = 1_000_000;
const _: () = assert!(FLOOD_MESSAGES * FLOOD_BYTES > CONNECTION_WINDOW as usize);

fn connect(configure: impl FnOnce(&mut Builder) + Send + 'static) -> Fleet {
    let mut fleet = Fleet::new().unwrap();
    fleet.connect(&[serve(configure)], 1).unwrap();
    fleet
}

#[test]
fn requests_keep_to_the_servers_windows() {
    let mut fleet = connect(|b| {
        b.initial_window_size(100)
            .initial_connection_window_size(70_000);
    });
    let mut seen = Seen::default();
    for tag in 0..5 {
        fleet
            .call(0, "/length", tag, &message(100_000), true)
            .unwrap();
    }
    seen.turn_until_ends(&mut fleet, 5).unwrap();
    seen.messages.sort_unstable();
    assert_eq!(
        seen.messages,
        (0..5).map(|tag| (tag, 100_005)).collect::<Vec<_>>()
    );
    assert!(seen.ends.iter().all(|(_, outcome)| *outcome == Outcome::Ok));
}

#[test]
fn answers_larger_than_both_windows_arrive_whole() {
    let mut fleet = connect(|_| {});
    let mut seen = Seen::default();
    fleet.call(0, "/flood", 9, &message(1), true).unwrap();
    seen.turn_until_ends(&mut fleet, 1).unwrap();
    assert_eq!(seen.messages, [(9, FLOOD_BYTES); FLOOD_MESSAGES]);
    assert_eq!(seen.ends, [(9, Outcome::Ok)]);
}

#[test]
fn every_bad_end_is_told_apart() {
    let mut fleet = connect(|_| {});
    let mut seen = Seen::default();
    // The refusal's text spans several CONTINUATION frames.
    fleet.call(0, "/refuse", 1, &message(1), true).unwrap();
    seen.turn_until_ends(&mut fleet, 1).unwrap();
    fleet.call(0, "/cut", 2, &message(1), true).unwrap();
    seen.turn_until_ends(&mut fleet, 2).unwrap();
    fleet.call(0, "/other", 3, &message(1), true).unwrap();
    seen.turn_until_ends(&mut fleet, 3).unwrap();
    let text = "no ".repeat(12_000);
    assert_eq!(seen.ends[0].0, 1);
    let Outcome::Status { code: 5, message } = &seen.ends[0].1 else {
        panic!("{:?}", seen.ends)
    };
    assert_eq!(message.trim_end(), text.trim_end());
    assert_eq!(seen.ends[1], (2, Outcome::NoStatus { http: Some(200) }));
    assert_eq!(seen.ends[2], (3, Outcome::Reset(7)));
}

#[test]
fn goaway_ends_the_connection_with_its_reason() {
    let mut fleet = connect(|_| {});
    let mut seen = Seen::default();
    fleet.call(0, "/goaway", 1, &message(1), true).unwrap();
    let error = seen.turn_until_ends(&mut fleet, 1).unwrap_err();
    assert!(error.to_string().contains("GOAWAY, code 11"), "{error:#}");
}

#[test]
fn calls_beyond_the_servers_stream_limit_wait_their_turn() {
    let mut fleet = connect(|b| {
        b.max_concurrent_streams(2);
    });
    let mut seen = Seen::default();
    for tag in 0..50 {
        fleet.unary(0, "/length", tag, &message(1)).unwrap();
    }
    seen.turn_until_ends(&mut fleet, 50).unwrap();
    assert!(seen.ends.iter().all(|(_, outcome)| *outcome == Outcome::Ok));
    let id = fleet.call(0, "/length", 50, &message(1), false).unwrap();
    fleet.call(0, "/length", 51, &message(1), false).unwrap();
    assert!(fleet.call(0, "/length", 52, &message(1), false).is_err());
    assert!(fleet.send(0, id, &message(1)).is_ok());
}
