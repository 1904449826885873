//! Proxied links between members delay, throttle, stall, reset and close as told, each link by itself.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what tests share fails and prints like the tests"
)]

mod support;

use mainstay_faults::Party;
use mainstay_faults::proxy::{
    Direction, LinkCounters, LinkRule, ProcessTable, Proxy, ProxySpec, Shape, Sources,
};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};
use support::{SOON, wait};
use tokio::net::TcpSocket;

const M0: Party = Party::Member(0);
const M1: Party = Party::Member(1);
/// For something that must not happen.
const QUIET: Duration = Duration::from_millis(200);

fn ip(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, host)
}

/// An echo server, which ends with its callers.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((ip(1), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

fn proxy(target: SocketAddr, sources: Sources) -> Proxy {
    let listen = (ip(1), 0).into();
    Proxy::start(ProxySpec {
        listen,
        target,
        namespace: None,
        sources,
    })
    .unwrap()
}

/// A proxy before an echo server that tells 127.0.0.2 (m0) from 127.0.0.3 (m1).
fn wire() -> Proxy {
    let parties = BTreeMap::from([(ip(2).into(), M0), (ip(3).into(), M1)]);
    proxy(echo(), Sources::ByAddress(parties))
}

/// A connection from an address of the caller's choice.
fn try_call(from: u8, proxy: &Proxy) -> io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((ip(from), 0).into())?;
        socket.connect(proxy.listen()).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

fn call(from: u8, proxy: &Proxy) -> TcpStream {
    try_call(from, proxy).unwrap()
}

/// Calls, and is reset at the latest when it reads.
fn is_reset(from: u8, proxy: &Proxy) -> bool {
    let read = try_call(from, proxy).and_then(|mut stream| stream.read(&mut [0; 1]));
    matches!(read, Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

/// Time for a message and its echo.
fn round_trip(stream: &mut TcpStream) -> Duration {
    let start = Instant::now();
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    start.elapsed()
}

fn silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(QUIET)).unwrap();
    let read = stream.read(&mut [0; 64]);
    stream.set_read_timeout(Some(SOON)).unwrap();
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn counters(proxy: &Proxy, from: Party) -> LinkCounters {
    proxy.counters()[&Some(from)]
}

#[test]
fn delay_and_jitter_act_on_one_link_only() {
    let proxy = wire();
    let (mut slow, mut fast) = (call(2, &proxy), call(3, &proxy));
    round_trip(&mut slow);
    let (delay, jitter) = (Duration::from_millis(30), Duration::from_millis(20));
    proxy.set(M0, LinkRule::both(Shape::delayed(delay, jitter)));
    let slow_times: Vec<_> = (0..10).map(|_| round_trip(&mut slow)).collect();
    let fast_time = (0..10).map(|_| round_trip(&mut fast)).min().unwrap();
    println!("delayed {slow_times:.1?}, other link {fast_time:.1?}");
    assert!(slow_times.iter().all(|time| *time >= delay * 2));
    assert!(
        slow_times.iter().any(|time| *time > delay * 2 + jitter / 4),
        "no jitter"
    );
    assert!(fast_time < delay);
    let held = counters(&proxy, M0);
    assert!(
        held.held_chunks >= 20 && held.held_micros >= 600_000,
        "{held:?}"
    );
    assert!(counters(&proxy, M1).held_micros < held.held_micros / 10);
    proxy.heal();
    assert!((0..10).map(|_| round_trip(&mut slow)).min().unwrap() < delay);
}

#[test]
fn a_trickle_is_as_narrow_as_told() {
    let proxy = wire();
    let mut stream = call(2, &proxy);
    round_trip(&mut stream);
    let rate = NonZeroU64::new(20_000).unwrap();
    proxy.set(
        M0,
        LinkRule {
            toward: Shape::trickle(rate),
            ..LinkRule::default()
        },
    );
    let start = Instant::now();
    stream.write_all(&[7; 10_000]).unwrap();
    stream.read_exact(&mut [0; 10_000]).unwrap();
    let took = start.elapsed();
    println!("10,000 bytes at 20,000 per second took {took:.1?}");
    assert!((Duration::from_millis(450)..Duration::from_millis(1_500)).contains(&took));
}

#[test]
fn a_stall_passes_nothing_and_loses_nothing() {
    let proxy = wire();
    let mut stream = call(2, &proxy);
    round_trip(&mut stream);
    for stalled in [
        LinkRule {
            toward: Shape::stalled(),
            ..LinkRule::default()
        },
        LinkRule {
            back: Shape::stalled(),
            ..LinkRule::default()
        },
    ] {
        proxy.set(M0, stalled);
        let before = counters(&proxy, M0);
        stream.write_all(b"late").unwrap();
        assert!(silent(&mut stream));
        let now = counters(&proxy, M0);
        assert_eq!((now.pending_bytes, now.bytes_back), (4, before.bytes_back));
        // New connections are accepted, and as silent.
        let mut other = call(2, &proxy);
        other.write_all(b"late").unwrap();
        assert!(silent(&mut other));
        proxy.heal();
        for stream in [&mut stream, &mut other] {
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"late");
        }
        wait("nothing is pending", || {
            counters(&proxy, M0).pending_bytes == 0
        });
    }
}

#[test]
fn a_stalled_sender_is_held_back() {
    let proxy = wire();
    let mut stream = call(2, &proxy);
    round_trip(&mut stream);
    proxy.set(M0, LinkRule::both(Shape::stalled()));
    stream.set_write_timeout(Some(QUIET)).unwrap();
    let full = (0..100_000).any(|_| stream.write_all(&[1; 16 << 10]).is_err());
    let pending = counters(&proxy, M0).pending_bytes;
    println!("the sender was stopped with {pending} bytes in the proxy");
    assert!(full && pending <= 2 << 20, "{pending} bytes");
}

#[test]
fn resets_and_refusals_are_seen_by_the_caller() {
    let proxy = wire();
    assert!(
        !proxy.reset(M0).unwrap().acted,
        "there was nothing to reset"
    );
    let (mut hit, mut spared) = (call(2, &proxy), call(3, &proxy));
    round_trip(&mut hit);
    round_trip(&mut spared);
    println!("{}", proxy.reset(M0).unwrap());
    let error = hit.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    round_trip(&mut spared);
    proxy.set(
        M0,
        LinkRule {
            refuse: true,
            ..LinkRule::default()
        },
    );
    assert!(is_reset(2, &proxy));
    assert_eq!(counters(&proxy, M0).refused, 1);
    proxy.heal();
    round_trip(&mut call(2, &proxy));
}

#[test]
fn a_half_closed_connection_goes_on_one_way() {
    let proxy = wire();
    let mut stream = call(2, &proxy);
    round_trip(&mut stream);
    println!("{}", proxy.half_close(M0, Direction::Back).unwrap());
    assert_eq!(
        stream.read(&mut [0; 1]).unwrap(),
        0,
        "the caller sees the end"
    );
    let before = counters(&proxy, M0).bytes_toward;
    stream.write_all(b"still").unwrap();
    wait(
        "bytes still go toward the target, whose echo is thrown away",
        || {
            let now = counters(&proxy, M0);
            now.bytes_toward == before + 5 && now.discarded_bytes == 5
        },
    );
}

#[test]
fn a_target_that_is_away_is_a_reset_and_comes_back() {
    // Bound and closed at once: nobody listens there.
    let target = TcpListener::bind((ip(1), 0)).unwrap().local_addr().unwrap();
    let parties = BTreeMap::from([(ip(2).into(), M0)]);
    let proxy = proxy(target, Sources::ByAddress(parties));
    assert!(is_reset(2, &proxy));
    assert_eq!(counters(&proxy, M0).refused, 1);
}

#[test]
fn on_loopback_callers_are_told_apart_by_process() {
    let table = ProcessTable::default();
    let proxy = proxy(echo(), Sources::ByProcess(table.clone()));
    table.register(M1, std::process::id());
    round_trip(&mut call(1, &proxy));
    assert_eq!(counters(&proxy, M1).accepted, 1);
    table.register(M1, 1);
    proxy.set(
        M1,
        LinkRule {
            refuse: true,
            ..LinkRule::default()
        },
    );
    round_trip(&mut call(1, &proxy));
    assert_eq!(proxy.counters()[&None].accepted, 1, "an unknown caller");
}
