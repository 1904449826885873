//! Watches: any number on one stream, every response recorded as it comes.

use super::{Client, answer, request};
use mainstay_check::history::{Record, WatchNews, WatchRecord, WatchRequest};
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::raw::Watches;
use std::collections::BTreeMap;
use tonic::Status;

/// The first id a client gives to its watches; 0 would let the server choose.
const FIRST_ID: i64 = 1;
/// The id under which a manual progress request is answered for all watches of the stream.
const ALL_WATCHES: i64 = -1;

/// A stream with the watches on it.
#[derive(Debug)]
pub struct WatchStream {
    stream: Watches,
    client: u32,
    member: u32,
    watches: BTreeMap<i64, Watched>,
    next_id: i64,
}

#[derive(Debug)]
struct Watched {
    number: u64,
    /// Until it has gone into the history with the first response.
    request: Option<Box<WatchRequest>>,
    /// Where a successor of this watch has to start.
    next_revision: i64,
}

/// What one response meant for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// News; the watch goes on. Up to which revision the watch of this id has seen everything.
    News(i64, i64),
    /// The watch of this id is over because everything below this revision is compacted.
    Compacted(i64, i64),
    /// The watch of this id is over for another reason.
    Canceled(i64),
    /// The whole stream is over.
    Ended,
}

impl WatchStream {
    /// Opens a stream without watches.
    pub fn open(client: &Client) -> Self {
        Self {
            stream: client.raw.watch_stream(),
            client: client.shared.client_number(),
            member: client.member_number(),
            watches: BTreeMap::new(),
            next_id: FIRST_ID,
        }
    }

    /// Asks for a watch and returns its id on this stream.
    pub async fn watch(&mut self, client: &Client, request: WatchRequest) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        let message = request::watch(&request, id);
        let watched = Watched {
            number: client.shared.watch_number(),
            next_revision: request.start_revision,
            request: Some(Box::new(request)),
        };
        self.watches.insert(id, watched);
        self.stream.create(message).await;
        id
    }

    /// Asks the server to end a watch.
    pub async fn cancel(&mut self, id: i64) {
        self.stream.cancel(id).await;
    }

    /// Asks how far the watches of this stream are.
    pub async fn progress(&self) {
        self.stream.progress().await;
    }

    /// The revision from which a successor of this watch must start: after all that it has received; 0 when nothing
    /// is known yet.
    pub fn resume_at(&self, id: i64) -> i64 {
        self.watches
            .get(&id)
            .map_or(0, |watched| watched.next_revision)
    }

    /// How many watches are on this stream.
    pub fn len(&self) -> usize {
        self.watches.len()
    }

    /// Whether all watches are over.
    pub fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Waits for the next response, records it and says what it means. Dropping the future loses nothing.
    pub async fn next(&mut self, client: &Client) -> Step {
        match self.stream.next_or_end().await {
            Ok(response) => self.take(client, response).await,
            Err(status) => {
                self.fail(client, &status).await;
                Step::Ended
            }
        }
    }

    async fn take(&mut self, client: &Client, response: pb::WatchResponse) -> Step {
        let time = client.shared.journal.clock.now();
        let revision = response.header.map_or(0, |header| header.revision);
        client.shared.saw(revision);
        let id = response.watch_id;
        if id == ALL_WATCHES && response.events.is_empty() {
            return self.take_progress_of_all(client, time, revision).await;
        }
        if !self.watches.contains_key(&id) {
            // Nothing may come for a watch that is over; counted, so that it is seen.
            client.shared.journal.tally.watch_ended("stray-response");
            return Step::News(id, 0);
        }
        let (news, step) = self.read(id, revision, response);
        if let WatchNews::Events(events) = &news {
            client
                .shared
                .journal
                .tally
                .watch_events(events.len() as u64);
        }
        self.record(client, id, time, revision, news).await;
        if matches!(step, Step::Compacted(..) | Step::Canceled(_)) {
            self.watches.remove(&id);
        }
        step
    }

    fn read(&mut self, id: i64, revision: i64, response: pb::WatchResponse) -> (WatchNews, Step) {
        let watched = self.watches.get_mut(&id).expect("the caller has looked");
        if response.canceled {
            let compact_revision = response.compact_revision;
            let step = if compact_revision > 0 {
                Step::Compacted(id, compact_revision)
            } else {
                Step::Canceled(id)
            };
            let reason = response.cancel_reason;
            return (
                WatchNews::Canceled {
                    reason,
                    compact_revision,
                },
                step,
            );
        }
        let news = if response.created {
            // Without a start revision the watch starts after the revision of this answer.
            if watched.next_revision == 0 {
                watched.next_revision = revision + 1;
            }
            WatchNews::Created
        } else if response.events.is_empty() {
            watched.next_revision = watched.next_revision.max(revision + 1);
            WatchNews::Progress
        } else {
            let last = response.events.last().and_then(|event| event.kv.as_ref());
            let last = last.map_or(0, |kv| kv.mod_revision);
            watched.next_revision = watched.next_revision.max(last + 1);
            WatchNews::Events(response.events.into_iter().map(answer::event).collect())
        };
        (news, Step::News(id, watched.next_revision - 1))
    }

    /// The answer to a manual progress request.
    async fn take_progress_of_all(&mut self, client: &Client, time: u64, revision: i64) -> Step {
        let ids: Vec<i64> = self.watches.keys().copied().collect();
        for id in ids {
            self.record(client, id, time, revision, WatchNews::Progress)
                .await;
            if let Some(watched) = self.watches.get_mut(&id) {
                watched.next_revision = watched.next_revision.max(revision + 1);
            }
        }
        Step::News(ALL_WATCHES, revision)
    }

    async fn fail(&mut self, client: &Client, status: &Status) {
        let failure = super::Failure::of(status);
        client.shared.journal.tally.watch_ended(failure.class);
    }

    async fn record(
        &mut self,
        client: &Client,
        id: i64,
        time: u64,
        revision: i64,
        news: WatchNews,
    ) {
        let watched = self
            .watches
            .get_mut(&id)
            .expect("only known watches are recorded");
        let record = WatchRecord {
            watch: watched.number,
            client: self.client,
            member: self.member,
            request: watched.request.take(),
            time,
            header_revision: revision,
            news,
        };
        client.shared.journal.record(Record::Watch(record)).await;
    }
}
