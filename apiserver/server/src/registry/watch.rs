//! Watches: one encoding of an event for all who watch it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Stream, stream};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use mainstay_apistore::{
    CacheError, Delivery, EventKind, Freshness, Start, Step, WatchRequest, Watcher,
};
use mainstay_machinery::encode::partial_metadata;
use mainstay_machinery::status::StatusError;
use mainstay_schema::Resource;
use rand::Rng as _;
use serde_json::{Value, json};
use tokio::time::{Instant, Sleep};

use super::codec;
use super::dispatch::{Registry, Request};
use super::list::{Selection, cache_failure};
use super::read::READ_PATIENCE;
use super::write::{read_revision, with_revision};
use super::{convert, table};
use crate::answer::{self, Answer};
use crate::body::Body;
use crate::metrics::Metrics;
use crate::request::{Accepted, Form, ListOptions};
use crate::serve::Events;

/// How often a watcher that wants bookmarks gets one: upstream's about once a minute.
const BOOKMARKS_EVERY: Duration = Duration::from_secs(60);

impl Registry {
    pub(super) async fn watch(&self, request: &Request<'_>) -> Answer {
        let options = ListOptions::parse(request.call.query, true)?;
        let mut selection = Selection::parse(request.resource, &options)?;
        // By the deprecated path; a query only names collections.
        if !request.target.name.is_empty() {
            selection = selection.of_name(&request.target.name)?;
        }
        let revision = read_revision(&options.resource_version)?;
        let initial = options.send_initial_events == Some(true);
        let start = match revision {
            Some(revision) if !initial && options.send_initial_events.is_none() => {
                Start::After(revision)
            }
            _ if options.send_initial_events == Some(false) => {
                Start::After(revision.unwrap_or_else(|| self.cache(request.resource).revision()))
            }
            _ if options.resource_version == "0" => Start::Initial,
            // The first state must not be older than the request, or than the revision it names.
            Some(revision) => Start::InitialAsOf(Freshness::NotOlderThan(revision)),
            None => Start::InitialAsOf(Freshness::Consistent),
        };
        let until = Instant::now() + READ_PATIENCE;
        let cache = self.cache(request.resource);
        let filter: Option<mainstay_apistore::Filter> = match selection.is_everything() {
            true => None,
            false => {
                let selection = selection.clone();
                Some(Arc::new(move |object: &_| selection.matches(object)))
            }
        };
        let end = Instant::now() + self.watch_time(&options);
        let asked = WatchRequest {
            scope: selection.scope(self, request),
            start,
            filter,
            bookmarks: options.bookmarks.then_some(BOOKMARKS_EVERY),
            end: Some(end),
        };
        let watcher = match cache.watch(asked, until).await {
            Ok(watcher) => watcher,
            // Upstream tells in the stream that the revision is gone.
            Err(CacheError::TooOld { oldest }) => return Ok(gone(revision, oldest)),
            Err(e) => return Err(cache_failure(&e)),
        };
        let served = Served {
            watcher,
            shape: Shape::new(request, initial && options.bookmarks)?,
            deadline: Box::pin(tokio::time::sleep_until(end)),
            ending: self.ending.clone(),
            metrics: Counted::new(Arc::clone(&self.metrics)),
            over: false,
        };
        Ok(stream_of(served.into_stream()))
    }

    fn watch_time(&self, options: &ListOptions) -> Duration {
        let seconds = match options.timeout_seconds {
            Some(seconds) => seconds,
            // Spread, so that not all watchers come back at once.
            None => {
                let shortest = self.watch_seconds.max(1);
                rand::rng().random_range(shortest..=shortest.saturating_mul(2))
            }
        };
        Duration::from_secs(seconds.min(MAX_SECONDS))
    }
}

/// Longest time of a watch, in seconds: a day.
const MAX_SECONDS: u64 = 86_400;

fn stream_of(stream: impl Stream<Item = Bytes> + Send + 'static) -> http::Response<Body> {
    let mut response = answer::json_bytes(StatusCode::OK, "");
    let chunked = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, chunked);
    *response.body_mut() = Body::Stream(Box::pin(stream));
    response.extensions_mut().insert(Events);
    response
}

/// A stream that only says that its beginning is gone.
fn gone(revision: Option<i64>, oldest: i64) -> http::Response<Body> {
    let asked = u64::try_from(revision.unwrap_or(0)).unwrap_or(0);
    let oldest = u64::try_from(oldest).unwrap_or(0);
    let error = StatusError::too_old_resource_version(asked, oldest);
    let frame = error_frame(&error);
    stream_of(stream::iter([frame]))
}

fn error_frame(error: &StatusError) -> Bytes {
    let event = json!({ "type": "ERROR", "object": error.to_value() });
    format!("{event}\n").into()
}

/// What a watcher's frames look like.
struct Shape {
    resource: &'static Resource,
    accepted: Accepted,
    include: table::Include,
    /// Stands for everything above in caches of frames.
    representation: u32,
    /// Whether the end of the initial state is announced.
    announce: bool,
    /// Whether the columns of a table were sent.
    columns_sent: bool,
}

impl Shape {
    fn new(request: &Request<'_>, announce: bool) -> Result<Self, StatusError> {
        let include = table::Options::parse(request.call.query)?.include;
        let twin = u32::from(!convert::is_same(request.resource));
        let form = match (request.accepted.form, include) {
            (Form::Objects, _) => 0,
            (Form::Metadata, _) => 1,
            (Form::Table, table::Include::None) => 2,
            (Form::Table, table::Include::Metadata) => 3,
            (Form::Table, table::Include::Object) => 4,
        };
        Ok(Self {
            resource: request.resource,
            accepted: request.accepted,
            include,
            representation: form * 2 + twin,
            announce,
            columns_sent: false,
        })
    }

    fn frame(&mut self, delivery: &Delivery) -> Bytes {
        if self.accepted.form == Form::Table {
            // Ages in a row are those of its moment: rows are not shared.
            let with_columns = !std::mem::replace(&mut self.columns_sent, true);
            return self.encode(delivery, with_columns);
        }
        delivery.frame(self.representation, |delivery| self.encode(delivery, false))
    }

    fn encode(&self, delivery: &Delivery, with_columns: bool) -> Bytes {
        let (object, revision) = (delivery.object(), delivery.revision());
        let kind = match delivery.kind() {
            EventKind::Added => "ADDED",
            EventKind::Modified => "MODIFIED",
            EventKind::Deleted => "DELETED",
        };
        let mut frame = Vec::with_capacity(object.value.len() + FRAME_OVERHEAD_BYTES);
        frame.extend_from_slice(b"{\"type\":\"");
        frame.extend_from_slice(kind.as_bytes());
        frame.extend_from_slice(b"\",\"object\":");
        let copied = match self.accepted.form {
            Form::Objects if convert::is_same(self.resource) => {
                codec::write_object(&object.value, revision, &mut frame);
                true
            }
            Form::Metadata => codec::write_metadata(&object.value, revision, &mut frame),
            _ => false,
        };
        if !copied {
            // What is in the cache was decoded once already.
            let value = codec::parse(&object.value).unwrap_or_default();
            let mut value = with_revision(value, revision);
            convert::to_served(self.resource, &mut value);
            let shown = self.shown(value, revision, with_columns);
            frame.extend_from_slice(shown.to_string().as_bytes());
        }
        frame.extend_from_slice(b"}\n");
        frame.into()
    }

    fn shown(&self, value: Value, revision: i64, with_columns: bool) -> Value {
        match self.accepted.form {
            Form::Objects => value,
            Form::Metadata => partial_metadata(&value),
            Form::Table => {
                let columns = match with_columns {
                    true => table::definitions(self.resource),
                    false => json!([]),
                };
                let row = table::row_of(self.resource, value, self.include);
                let metadata = json!({ "resourceVersion": revision.to_string() });
                table::framed(columns, vec![row], metadata)
            }
        }
    }

    fn bookmark(&self, revision: i64, initial_end: bool) -> Bytes {
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if initial_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = match self.accepted.form {
            Form::Table => table::framed(json!([]), Vec::new(), metadata),
            Form::Metadata => json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
            }),
            Form::Objects => json!({
                "kind": self.resource.kind,
                "apiVersion": self.resource.api_version(),
                "metadata": metadata,
            }),
        };
        let event = json!({ "type": "BOOKMARK", "object": object });
        format!("{event}\n").into()
    }
}

/// Bytes of a frame beside its object.
const FRAME_OVERHEAD_BYTES: usize = 64;

/// A watch while it is being served.
struct Served {
    watcher: Watcher,
    shape: Shape,
    deadline: std::pin::Pin<Box<Sleep>>,
    ending: tokio::sync::watch::Receiver<bool>,
    metrics: Counted,
    over: bool,
}

impl Served {
    fn into_stream(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut served| async move {
            let bytes = served.next().await?;
            Some((bytes, served))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.over || *self.ending.borrow() {
                return None;
            }
            let step = tokio::select! {
                step = self.watcher.next() => step,
                () = &mut self.deadline => return None,
                _ = self.ending.changed() => return None,
            };
            match step {
                Ok(Step::Events(deliveries)) => return Some(self.join(&deliveries)),
                Ok(Step::InitialEnd(revision)) if self.shape.announce => {
                    return Some(self.shape.bookmark(revision, true));
                }
                Ok(Step::InitialEnd(_)) => {}
                Ok(Step::Bookmark(revision)) => return Some(self.shape.bookmark(revision, false)),
                Err(e) => {
                    self.over = true;
                    return failure(&e);
                }
            }
        }
    }

    /// One event is its shared frame; several are joined, to be sent at once.
    fn join(&mut self, deliveries: &[Delivery]) -> Bytes {
        self.metrics.sent(deliveries.len());
        if let [delivery] = deliveries {
            return self.shape.frame(delivery);
        }
        let frames: Vec<Bytes> = deliveries
            .iter()
            .map(|delivery| self.shape.frame(delivery))
            .collect();
        let mut joined = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum());
        for frame in frames {
            joined.put_slice(&frame);
        }
        joined.freeze()
    }
}

/// The last frame of a watch that cannot go on.
fn failure(e: &CacheError) -> Option<Bytes> {
    match e {
        CacheError::TooOld { .. } => Some(error_frame(&StatusError::watch_compacted())),
        CacheError::Closed => None,
        other => Some(error_frame(&cache_failure(other))),
    }
}

/// Counts a watch for as long as it is served.
struct Counted(Arc<Metrics>);

impl Counted {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.watches.fetch_add(1, Ordering::Relaxed);
        Self(metrics)
    }

    fn sent(&self, events: usize) {
        self.0
            .watch_events
            .fetch_add(events as u64, Ordering::Relaxed);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.watches.fetch_sub(1, Ordering::Relaxed);
    }
}
