//! Something to watch, and those who watch it: from the past, the present and the future, across compactions, on
//! streams that are dropped and resumed.

use super::keys;
use crate::client::{Client, Step, WatchStream};
use mainstay_check::history::{Filter, Op, WatchRequest};
use rand::Rng;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

pub(super) const PREFIX: &str = "w/";
const KEYS: usize = 24;
/// Watches on one stream.
const WATCHES_MAX: usize = 4;
/// How long a stream is kept, milliseconds.
const STREAM_MS: std::ops::Range<u64> = 200..4_000;
/// How far before and after the newest known revision a watch may start.
const START_SPREAD: std::ops::Range<i64> = -150..60;

/// A writer. `compacts`: it also compacts now and then.
pub(super) async fn run(client: &mut Client, compacts: bool) {
    let key = key(client, KEYS);
    let value = client.unique();
    let op = match client.rng.random_range(0..20) {
        0..=8 => keys::put(&key, value),
        9..=11 => keys::put_prev(&key, value),
        12..=14 => keys::delete(&key, false),
        15 => return keys::any_read(client, PREFIX, &key).await,
        16 if compacts => {
            let now = client.shared.revision();
            // Rarely beyond what there is: an error that changes nothing.
            let revision = now + client.rng.random_range(-100..4);
            Op::Compact {
                revision: revision.max(1),
            }
        }
        _ => several(client),
    };
    client.perform(op).await;
}

fn key(client: &mut Client, below: usize) -> String {
    format!("{PREFIX}{:02}", client.rng.random_range(0..below))
}

/// One revision with several events: it must never be torn apart.
fn several(client: &mut Client) -> Op {
    let first = client.rng.random_range(0..KEYS - 4);
    let count = client.rng.random_range(2..=4);
    let steps = (first..first + count).map(|index| {
        let key = format!("{PREFIX}{index:02}");
        if client.rng.random_bool(0.25) {
            keys::delete(&key, false)
        } else {
            let value = client.unique();
            keys::put(&key, value)
        }
    });
    let then: Vec<Op> = steps.collect();
    keys::txn(Vec::new(), then, Vec::new())
}

/// Watches until the load ends, one stream after the other.
pub(super) async fn watcher(mut client: Client) {
    // Where the next stream takes up what the last one left.
    let mut resume: Option<WatchRequest> = None;
    while client.shared.load.running() {
        let mut stream = WatchStream::open(&client);
        let mut asked = Vec::new();
        for index in 0..client.rng.random_range(1..=WATCHES_MAX) {
            let request = match resume.take() {
                Some(request) if index == 0 => request,
                _ => request(&mut client),
            };
            let id = stream.watch(&client, request.clone()).await;
            asked.push((id, request));
        }
        let resumable = follow(&mut client, &mut stream, &asked).await;
        if client.rng.random_bool(0.7) {
            resume = resumable;
        }
        // A member that is down would otherwise be asked thousands of times a second.
        if !client
            .shared
            .load
            .pause(crate::limits::PAUSE_AFTER_FAILURE)
            .await
        {
            return;
        }
    }
}

/// Reads the stream for a while; returns how its first watch would be resumed.
async fn follow(
    client: &mut Client,
    stream: &mut WatchStream,
    asked: &[(i64, WatchRequest)],
) -> Option<WatchRequest> {
    let until = Instant::now() + Duration::from_millis(client.rng.random_range(STREAM_MS));
    let (first, request) = asked.first()?;
    let mut resume_at = request.start_revision;
    let mut answers = 0_u32;
    while let Ok(step) = timeout_at(until, stream.next(client)).await {
        resume_at = resume_at.max(stream.resume_at(*first));
        match step {
            Step::Ended => break,
            Step::Compacted(id, compacted) if id == *first => resume_at = compacted,
            _ if stream.is_empty() => break,
            _ => {}
        }
        answers += 1;
        if answers.is_multiple_of(20) {
            stir(client, stream, asked).await;
        }
    }
    (resume_at > 0).then(|| WatchRequest {
        start_revision: resume_at,
        ..request.clone()
    })
}

/// Now and then a watch is cancelled, or its progress asked for.
async fn stir(client: &mut Client, stream: &mut WatchStream, asked: &[(i64, WatchRequest)]) {
    match client.rng.random_range(0..4) {
        0 if client.shared.progress => stream.progress().await,
        1 if asked.len() > 1 => stream.cancel(asked[asked.len() - 1].0).await,
        _ => {}
    }
}

fn request(client: &mut Client) -> WatchRequest {
    let now = client.shared.revision();
    let one = key(client, KEYS);
    let rng = &mut client.rng;
    let (key, end) = match rng.random_range(0..4) {
        0 => (one.as_str().into(), Default::default()),
        1 => (one.as_str().into(), format!("{PREFIX}99").into()),
        _ => (PREFIX.into(), keys::end_of(PREFIX)),
    };
    let filters = match rng.random_range(0..10) {
        0 => vec![Filter::NoPut],
        1 => vec![Filter::NoDelete],
        _ => Vec::new(),
    };
    let start_revision = match rng.random_range(0..10) {
        0 | 1 => 0,
        2 => 1,
        _ => (now + rng.random_range(START_SPREAD)).max(1),
    };
    WatchRequest {
        key,
        end,
        start_revision,
        prev_kv: rng.random(),
        progress: rng.random(),
        filters,
    }
}
