//! Informers: list, then watch; or watch from the state on. They resume where they left off, on whatever server.

use super::client::{Client, Wanted, http_request};
use super::http::Trouble;
use super::kind::Kind;
use super::object;
use crate::limits::{API_FRAME_BYTES_MAX, INFORMER_EVENTS_MAX, PAUSE_AFTER_FAILURE, WATCH_SILENCE};
use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use mainstay_check::api::{ApiRecord, Ask, Begin, Informer, InformerEvent, News};
use rand::Rng;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Longest times of a watch, seconds: short, so that there are many beginnings.
const SECONDS: std::ops::RangeInclusive<u32> = 2..=20;
/// How often an informer that could resume begins anew instead.
const ANEW: f64 = 0.25;

/// What an informer is told to follow.
#[derive(Clone, Debug)]
pub(super) struct Interest {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) namespace: &'static str,
    pub(super) wanted: Wanted,
    /// It begins with a watch that tells the state first, instead of a list.
    pub(super) streams: bool,
}

/// How far an informer is, and how far it has to come; 0 while there is no end.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) at: Arc<AtomicI64>,
    pub(super) target: watch::Receiver<i64>,
}

impl Place {
    fn arrived(&self) -> bool {
        let target = *self.target.borrow();
        target > 0 && self.at.load(Ordering::Relaxed) >= target
    }
}

/// Follows until the target is reached.
pub(super) async fn inform(mut client: Client, interest: Interest, place: Place) {
    let mut resume: Option<i64> = None;
    while !place.arrived() {
        let server = client.server();
        let anew = client.rng.random_bool(ANEW);
        let begin = match resume.filter(|_| !anew) {
            Some(revision) => Some(Begin::After(revision)),
            None if interest.streams => Some(Begin::State(ask(&mut client))),
            None => first_list(&mut client, server, &interest, &place).await,
        };
        resume = match begin {
            Some(begin) => watch_once(&mut client, server, &interest, begin, &place).await,
            None => None,
        };
        if resume.is_none() {
            sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}

fn ask(client: &mut Client) -> Ask {
    let newest = client.shared.newest.load(Ordering::Relaxed);
    match client.rng.random_range(0..3) {
        0 => Ask::Consistent,
        1 => Ask::NotOlder(newest),
        _ => Ask::Any,
    }
}

async fn first_list(
    client: &mut Client,
    server: usize,
    interest: &Interest,
    place: &Place,
) -> Option<Begin> {
    let mut wanted = interest.wanted.clone();
    wanted.ask = match client.rng.random_bool(0.5) {
        true => Ask::Consistent,
        false => Ask::Any,
    };
    wanted.limit = match client.rng.random_bool(0.5) {
        true => Some(client.rng.random_range(3..20)),
        false => None,
    };
    let list = client
        .list(server, interest.kind, interest.namespace, &wanted)
        .await?;
    place.at.fetch_max(list.revision, Ordering::Relaxed);
    list.complete.then_some(Begin::After(list.revision))
}

/// One watch to its end; from where the next can go on.
async fn watch_once(
    client: &mut Client,
    server: usize,
    interest: &Interest,
    begin: Begin,
    place: &Place,
) -> Option<i64> {
    let seconds = client.rng.random_range(SECONDS);
    let sent = http_request(
        http::Method::GET,
        &path(interest, &begin, seconds),
        None,
        "",
    );
    let shared = client.shared.clone();
    let clock = shared.journal.clock;
    let deadline = shared.deadline + Duration::from_secs(3);
    let (conn, call, answer) = match client.conn(server).await {
        Err(trouble) => (0, 0, Err(trouble)),
        Ok(conn) => {
            let (id, begun) = (conn.id, clock.now());
            (id, begun, conn.begin(sent, deadline).await)
        }
    };
    let body = match answer {
        Ok(answer) if answer.status() == 200 => answer.into_body(),
        Ok(answer) => {
            let class = format!("watch:{}", answer.status().as_u16());
            shared.journal.counts.failure(&class);
            return None;
        }
        Err(Trouble { text, .. }) => {
            shared.journal.counts.failure(&format!("watch:{text}"));
            client.forget(server);
            // What was seen before is as good as it was.
            return match begin {
                Begin::After(revision) => Some(revision),
                Begin::State(_) => None,
            };
        }
    };
    let mut stream = Stream {
        kind: interest.kind,
        at: match begin {
            Begin::After(revision) => Some(revision),
            Begin::State(_) => None,
        },
        events: Vec::new(),
        buffer: BytesMut::new(),
    };
    let longest = Duration::from_secs(u64::from(seconds)) + WATCH_SILENCE;
    let reading = stream.read(body, client, place);
    let end = match timeout(longest, reading).await {
        Ok(end) => end,
        // A server that stands still, or one that does not keep its time.
        Err(_) => "silence".to_owned(),
    };
    if end != "end" && end != "arrived" {
        shared.journal.counts.failure(&format!("watch:{end}"));
        client.forget(server);
    }
    let resume = stream.at.filter(|_| !end.starts_with("ERROR"));
    let record = Informer {
        id: shared.number(),
        name: interest.name.to_owned(),
        server: u32::try_from(server).expect("there are few servers"),
        conn,
        selection: interest.wanted.selection(interest.kind, interest.namespace),
        begin,
        call,
        events: stream.events,
        end,
    };
    shared.journal.record(ApiRecord::Informer(record)).await;
    resume
}

fn path(interest: &Interest, begin: &Begin, seconds: u32) -> String {
    let mut query = interest.wanted.query();
    query
        .append_pair("watch", "true")
        .append_pair("allowWatchBookmarks", "true")
        .append_pair("timeoutSeconds", &seconds.to_string());
    match begin {
        Begin::After(revision) => {
            query.append_pair("resourceVersion", &revision.to_string());
        }
        Begin::State(ask) => {
            query
                .append_pair("sendInitialEvents", "true")
                .append_pair("resourceVersionMatch", "NotOlderThan");
            match ask {
                Ask::Consistent => {}
                Ask::Any => drop(query.append_pair("resourceVersion", "0")),
                Ask::NotOlder(version) | Ask::Exact(version) => {
                    query.append_pair("resourceVersion", &version.to_string());
                }
            }
        }
    }
    let collection = interest.kind.collection(interest.namespace);
    format!("{collection}?{}", query.finish())
}

/// A watch while it is read.
struct Stream {
    kind: Kind,
    /// Up to where everything was seen; `None` before the state is whole.
    at: Option<i64>,
    events: Vec<InformerEvent>,
    buffer: BytesMut,
}

impl Stream {
    /// Reads to the end, and says what that was.
    async fn read(&mut self, mut body: Incoming, client: &Client, place: &Place) -> String {
        loop {
            if place.arrived() {
                return "arrived".to_owned();
            }
            if self.events.len() >= INFORMER_EVENTS_MAX {
                return "long enough".to_owned();
            }
            let mut target = place.target.clone();
            let frame = tokio::select! {
                frame = body.frame() => frame,
                _ = target.changed() => continue,
            };
            let data = match frame {
                None => return "end".to_owned(),
                Some(Err(e)) => return format!("broken: {e}"),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_) => continue,
                },
            };
            self.buffer.extend_from_slice(&data);
            if self.buffer.len() > API_FRAME_BYTES_MAX {
                return "a frame without an end".to_owned();
            }
            let time = client.shared.journal.clock.now();
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                let value: Value = match serde_json::from_slice(&line) {
                    Ok(value) => value,
                    Err(e) => return format!("no JSON: {e}"),
                };
                if let Err(end) = self.take(&value, time) {
                    return end;
                }
                client
                    .shared
                    .journal
                    .counts
                    .events
                    .fetch_add(1, Ordering::Relaxed);
                if let Some(at) = self.at {
                    place.at.fetch_max(at, Ordering::Relaxed);
                    client.shared.newest.fetch_max(at, Ordering::Relaxed);
                }
            }
        }
    }

    fn take(&mut self, value: &Value, time: u64) -> Result<(), String> {
        let object = &value["object"];
        let kind = value["type"].as_str().unwrap_or_default();
        if kind == "ERROR" {
            let reason = object["reason"].as_str().unwrap_or("no reason");
            return Err(format!("ERROR {} {reason}", object["code"]));
        }
        let version = object::version(object).ok_or("an event without a version")?;
        let item = || object::item(self.kind, object).ok_or("an event without a name");
        let news = match kind {
            "ADDED" => News::Added(item()?),
            "MODIFIED" => News::Modified(item()?),
            "DELETED" => News::Deleted(item()?),
            "BOOKMARK" => {
                let end = &object["metadata"]["annotations"]["k8s.io/initial-events-end"];
                let initial_end = end == "true";
                if initial_end {
                    self.at = Some(version);
                }
                News::Bookmark {
                    revision: version,
                    initial_end,
                }
            }
            other => return Err(format!("an event of type {other:?}")),
        };
        self.events.push(InformerEvent { time, news });
        // Where the next watch begins, as clients do: behind the last event.
        self.at = self.at.map(|_| version);
        Ok(())
    }
}
