//! Measures appends on a real disk: `append <dir> <in-flight> <payload bytes> <seconds> [prefill]`.

#![expect(
    clippy::print_stdout,
    reason = "a measuring program reports on its standard output"
)]

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mainstay_wal::{Entry, LogId, Options, OsDisk, Wal, WalError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let usage = "append <dir> <in-flight> <payload bytes> <seconds> [prefill]";
    let dir = PathBuf::from(args.get(1).ok_or(usage)?);
    let in_flight: u64 = args.get(2).ok_or(usage)?.parse()?;
    let payload = Bytes::from(vec![7; args.get(3).ok_or(usage)?.parse()?]);
    let time = Duration::from_secs(args.get(4).ok_or(usage)?.parse()?);
    let prefill = args.get(5).is_some_and(|arg| arg == "prefill");
    let options = Options {
        prefill,
        ..Options::default()
    };
    let opening = Instant::now();
    let (wal, recovered) = Wal::open(OsDisk, dir, options, Box::new(|_| std::process::abort()))?;
    println!(
        "open {:?}: {:?} .. {:?}",
        opening.elapsed(),
        recovered.verdict,
        recovered.last
    );
    let mut latencies = run(&wal, in_flight, &payload, time)?;
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!(
        "{:.0}/s  p50 {:?}  p99 {:?}  p99.9 {:?}  max {:?}",
        latencies.len() as f64 / time.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
    let stats = wal.stats();
    let mean = stats.sync_time / stats.syncs.max(1) as u32;
    println!(
        "{} syncs, mean {mean:?}, {} segments",
        stats.syncs, stats.segments
    );
    Ok(wal.close()?)
}

/// Keeps `in_flight` entries unanswered and returns their latencies.
fn run(
    wal: &Wal,
    in_flight: u64,
    payload: &Bytes,
    time: Duration,
) -> Result<Vec<Duration>, WalError> {
    let (sender, receiver) = mpsc::channel();
    let mut next = wal.state().next_index.max(1);
    let mut append = |count: u64| -> Result<(), WalError> {
        for _ in 0..count {
            let id = LogId {
                term: 1,
                leader: 1,
                index: next,
            };
            let entry = Entry {
                id,
                kind: 0,
                payload: payload.clone(),
            };
            let (start, sender) = (Instant::now(), sender.clone());
            let done = Box::new(move |result: Result<(), WalError>| {
                // The receiver is gone only when the run is over.
                let _ = sender.send(result.map(|()| start.elapsed()));
            });
            wal.append(vec![entry], done)?;
            next += 1;
        }
        if next.is_multiple_of(1024) && next > 400_000 {
            wal.purge(
                LogId {
                    term: 1,
                    leader: 1,
                    index: next - 300_000,
                },
                Box::new(|_| {}),
            );
        }
        Ok(())
    };
    append(in_flight)?;
    let start = Instant::now();
    let mut latencies = Vec::new();
    while start.elapsed() < time {
        let Ok(first) = receiver.recv() else { break };
        let before = latencies.len();
        latencies.push(first?);
        for more in receiver.try_iter() {
            latencies.push(more?);
        }
        append((latencies.len() - before) as u64)?;
    }
    Ok(latencies)
}
