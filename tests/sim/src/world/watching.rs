//! Watchers: each follows one range for the whole run, over whatever members serve.

use mainstay_mvcc::MvccError;
use mainstay_proto::etcdserverpb::watch_request::RequestUnion;
use mainstay_proto::etcdserverpb::{
    WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use mainstay_proto::mvccpb::Event;
use mainstay_watch::{History, HistoryError, Poll, StreamId};
use prost::Message;

use super::course::World;
use crate::host::SimNode;
use crate::oracle::watches::Watcher;
use crate::oracle::{Checked, violated};
use crate::trace::say;

/// Longer than any run: progress comes only when asked for.
const INTERVAL_MS: u64 = 3_600_000;
const POLL_BYTES: usize = 64 << 10;

struct Stored<'a>(&'a SimNode);

impl History for Stored<'_> {
    fn events(
        &self,
        from_revision: i64,
        max_revisions: usize,
        max_bytes: usize,
    ) -> Result<Vec<(i64, Vec<Event>)>, HistoryError> {
        let reader = self.0.reader();
        match reader.events(from_revision, max_revisions, max_bytes) {
            Ok(revisions) => Ok(revisions
                .into_iter()
                .map(|r| (r.revision, r.events))
                .collect()),
            Err(MvccError::Compacted) => Err(HistoryError::Compacted(reader.compacted())),
            Err(error) => Err(HistoryError::Failed(error.to_string())),
        }
    }

    fn revision(&self) -> i64 {
        self.0.reader().revision()
    }

    fn compacted(&self) -> i64 {
        self.0.reader().compacted()
    }
}

/// A watcher and where it is served.
#[derive(Debug)]
pub(super) struct Watching {
    watcher: Watcher,
    at: Option<(usize, u64, StreamId)>,
    open_at: u64,
}

fn decode(pieces: &[bytes::Bytes]) -> Result<Vec<WatchResponse>, String> {
    let all = pieces.concat();
    let mut rest = &all[..];
    let mut messages = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<5>() {
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let body = tail.get(..len).ok_or("a cut frame")?;
        messages.push(WatchResponse::decode(body).map_err(|e| e.to_string())?);
        rest = &tail[len..];
    }
    Ok(messages)
}

impl World {
    pub(super) fn add_watchers(&mut self, count: u64) {
        for _ in 0..count {
            let (key, end) = self.clients.making.some_range(&mut self.rng);
            self.watching.push(Watching {
                watcher: Watcher::new(key, end, 2),
                at: None,
                open_at: self.rng.below(3_000_000),
            });
        }
    }

    /// Takes what the members have to send to watchers.
    pub(super) fn watch(&mut self) -> Checked {
        for host in &mut self.hosts {
            let Some(process) = &mut host.process else {
                continue;
            };
            let clock = process.clock_ms();
            if host.paused_until.is_none()
                && let (Some(shard), Some(node)) = (&mut process.shard, &process.node)
            {
                shard.tick(clock);
                while shard.drain_inbox(&Stored(node)) {}
            }
        }
        for at in 0..self.watching.len() {
            match self.watching[at].at {
                Some((host, process, stream)) => self.receive(at, host, process, stream)?,
                None if self.watching[at].open_at <= self.now => self.open(at),
                None => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, at: usize) {
        let host = self.rng.index(self.hosts.len());
        let from_compaction = self.rng.one_in(8);
        let Some(process) = &mut self.hosts[host].process else {
            return;
        };
        let (Some(shard), Some(node)) = (&mut process.shard, &process.node) else {
            return;
        };
        let watching = &mut self.watching[at];
        watching.watcher.canceled = false;
        if from_compaction && watching.watcher.next < self.model.compacted {
            watching.watcher.next = self.model.compacted;
        }
        let clock = (process.clock_us / 1000.0) as u64;
        let stream = shard.open_stream(clock, INTERVAL_MS);
        let create = WatchCreateRequest {
            key: watching.watcher.key.clone(),
            range_end: watching.watcher.end.clone(),
            start_revision: watching.watcher.next,
            ..WatchCreateRequest::default()
        };
        let request = WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(create)),
        };
        shard.request(stream, &request, &Stored(node), clock);
        watching.at = Some((host, process.number, stream));
        say!(
            self.trace,
            "watch {at} from {} at m{host}",
            watching.watcher.next
        );
        self.counts.one("watches_opened");
    }

    fn receive(&mut self, at: usize, host: usize, number: u64, stream: StreamId) -> Checked {
        let again = self.now + self.rng.below(500_000);
        let ask = self.rng.one_in(2_000);
        let leave = self.rng.one_in(5_000);
        let watching = &mut self.watching[at];
        let paused = self.hosts[host].paused_until.is_some();
        let process = self.hosts[host].process.as_mut();
        let process = process.filter(|process| process.number == number);
        let Some(process) = process else {
            watching.at = None;
            watching.open_at = again;
            return Ok(());
        };
        if paused {
            return Ok(());
        }
        let clock = (process.clock_us / 1000.0) as u64;
        let (Some(shard), Some(node)) = (&mut process.shard, &process.node) else {
            return Ok(());
        };
        let stored = Stored(node);
        if ask {
            let request = WatchRequest {
                request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})),
            };
            shard.request(stream, &request, &stored, clock);
            self.counts.one("progress_asked");
        }
        let mut pieces = Vec::new();
        // A stream that never rests would be one; what is left comes with the next step.
        for _ in 0..64 {
            if shard.poll(stream, &stored, &mut pieces, POLL_BYTES) == Poll::Idle {
                break;
            }
        }
        let responses = match decode(&pieces) {
            Ok(responses) => responses,
            Err(e) => violated!("a watch stream of m{host} does not decode: {e}"),
        };
        for response in &responses {
            self.counts
                .add("watch_events", response.events.len() as u64);
            watching.watcher.take(&self.model, response)?;
            if response.canceled {
                self.counts.one("watches_canceled");
                watching.watcher.next = watching.watcher.next.max(response.compact_revision);
            }
        }
        if watching.watcher.canceled || leave {
            shard.close_stream(stream);
            watching.at = None;
            watching.open_at = again;
        }
        Ok(())
    }

    pub(super) fn watches_complete(&self) -> bool {
        self.watching
            .iter()
            .all(|w| w.at.is_some() && w.watcher.is_complete(&self.model))
    }
}
