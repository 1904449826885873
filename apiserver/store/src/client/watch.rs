//! A watch of one prefix that outlives members and connections.

use super::calls::Client;
use super::connection::Connection;
use super::failure::full_text;
use super::member;
use super::prefix::prefix_end;
use super::stored::Stored;
use super::watch_stream::{Assembler, Signal};
use crate::limits::{
    RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN, WATCH_BUFFER_MESSAGES, WATCH_CREATE_DEADLINE,
};
use bytes::Bytes;
use futures_util::stream;
use http::uri::PathAndQuery;
use mainstay_proto::etcdserverpb as pb;
use pb::watch_request::RequestUnion;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// What to watch.
#[derive(Clone, Debug)]
pub struct WatchConfig {
    /// All keys with this prefix.
    pub prefix: Bytes,
    /// Events after this revision.
    pub after: i64,
    /// Whether events bring the value before them. Doubles the traffic; the cache does without.
    pub previous: bool,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// The key.
    pub key: Bytes,
    /// Revision of the change.
    pub revision: i64,
    /// The new value, absent for a deletion.
    pub value: Option<Stored>,
    /// The value before, if it was asked for, existed and is not compacted.
    pub previous: Option<Stored>,
}

/// What a watch reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchItem {
    /// Changes in order of revision; a revision is never cut in two.
    Events(Vec<WatchEvent>),
    /// Everything up to this revision has been reported.
    Progress(i64),
    /// Events are lost, because the store has compacted them: list anew. The watch ends.
    Compacted {
        /// The first revision that can be watched.
        oldest: i64,
    },
    /// The store is not the one it was: list anew. The watch ends.
    Reset(String),
}

/// A running watch. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    items: mpsc::Receiver<WatchItem>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    ask: Notify,
    connected: AtomicBool,
    ordered_progress: AtomicBool,
    losses: AtomicU64,
}

/// Asks a watch for progress and tells how it is doing.
#[derive(Clone, Debug)]
pub struct WatchControl(Arc<Shared>);

impl WatchControl {
    /// Asks the store to report progress, unless it does so unreliably. Returns whether it was asked.
    pub fn request_progress(&self) -> bool {
        let possible = self.has_progress();
        if possible {
            self.0.ask.notify_one();
        }
        possible
    }

    /// Whether the member now watched answers progress requests reliably.
    pub fn has_progress(&self) -> bool {
        self.is_connected() && self.0.ordered_progress.load(Ordering::Acquire)
    }

    /// Whether a stream to a member is up.
    pub fn is_connected(&self) -> bool {
        self.0.connected.load(Ordering::Acquire)
    }

    /// How many streams have been lost.
    pub fn losses(&self) -> u64 {
        self.0.losses.load(Ordering::Relaxed)
    }
}

impl Watch {
    /// The next report; `None` after the watch has ended. Can be dropped and called again without loss.
    pub async fn next(&mut self) -> Option<WatchItem> {
        self.items.recv().await
    }

    /// A handle that is independent of the reader.
    pub fn control(&self) -> WatchControl {
        WatchControl(self.shared.clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// Starts a watch. It moves to another member by itself whenever its stream breaks.
    pub fn watch(&self, config: WatchConfig) -> Watch {
        let (sender, items) = mpsc::channel(WATCH_BUFFER_MESSAGES);
        let shared = Arc::new(Shared::default());
        let run = Run {
            client: self.clone(),
            assembler: Assembler::new(config.after),
            config,
            sender,
            shared: shared.clone(),
        };
        Watch {
            items,
            shared,
            task: tokio::spawn(run.until_end()),
        }
    }
}

struct Run {
    client: Client,
    config: WatchConfig,
    assembler: Assembler,
    sender: mpsc::Sender<WatchItem>,
    shared: Arc<Shared>,
}

enum End {
    /// Compacted, reset, or nobody listens.
    Final,
    Lost(String),
}

impl Run {
    async fn until_end(mut self) {
        let mut index = self.client.preferred();
        let mut delay = RECONNECT_DELAY_MIN;
        loop {
            let connection = self.client.connections()[index].clone();
            let end = self.one_stream(&connection).await;
            if self.shared.connected.swap(false, Ordering::AcqRel) {
                delay = RECONNECT_DELAY_MIN;
            }
            self.assembler.stream_lost();
            let End::Lost(reason) = end else { return };
            self.shared.losses.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(endpoint = connection.url, reason, "watch stream lost");
            index = (index + 1) % self.client.connections().len();
            sleep(delay).await;
            delay = (delay * 2).min(RECONNECT_DELAY_MAX);
        }
    }

    /// Opens a stream at one member and serves it until it ends.
    async fn one_stream(&mut self, connection: &Connection) -> End {
        let (requests, outgoing) = mpsc::channel(2);
        if requests.send(self.create()).await.is_err() {
            return End::Lost("the stream ended at once".into());
        }
        let opened = timeout(WATCH_CREATE_DEADLINE, self.open(connection, outgoing)).await;
        let mut stream = match opened {
            Ok(Ok(stream)) => stream,
            Ok(Err(status)) => return End::Lost(full_text(&status)),
            Err(_) => return End::Lost("not opened within the deadline".into()),
        };
        match timeout(WATCH_CREATE_DEADLINE, self.confirmed(&mut stream)).await {
            Ok(None) => {}
            Ok(Some(end)) => return end,
            Err(_) => return End::Lost("not confirmed within the deadline".into()),
        }
        let version = member::version(connection).await;
        let ordered = version.is_some_and(member::Version::progress_is_ordered);
        self.shared
            .ordered_progress
            .store(ordered, Ordering::Release);
        self.shared.connected.store(true, Ordering::Release);
        self.serve(stream, requests).await
    }

    async fn open(
        &self,
        connection: &Connection,
        outgoing: mpsc::Receiver<pb::WatchRequest>,
    ) -> Result<Streaming<pb::WatchResponse>, Status> {
        let outgoing = stream::unfold(outgoing, async |mut receiver| {
            receiver.recv().await.map(|message| (message, receiver))
        });
        let mut request = Request::new(Box::pin(outgoing));
        // A member that is cut off from the others ends the stream instead of staying silent.
        request
            .metadata_mut()
            .insert("hasleader", MetadataValue::from_static("true"));
        let mut grpc = connection.watches().await?;
        let path = PathAndQuery::from_static(WATCH);
        let codec = ProstCodec::<pb::WatchRequest, pb::WatchResponse>::default();
        Ok(grpc.streaming(request, path, codec).await?.into_inner())
    }

    fn create(&self) -> pb::WatchRequest {
        wrap(RequestUnion::CreateRequest(pb::WatchCreateRequest {
            key: self.config.prefix.clone(),
            range_end: prefix_end(&self.config.prefix),
            start_revision: self.assembler.next_revision(),
            progress_notify: true,
            prev_kv: self.config.previous,
            fragment: true,
            ..Default::default()
        }))
    }

    /// Reads up to the confirmation, before which only a refusal can come.
    async fn confirmed(&mut self, stream: &mut Streaming<pb::WatchResponse>) -> Option<End> {
        loop {
            let message = match next_message(stream).await {
                Ok(message) => message,
                Err(end) => return Some(end),
            };
            match self.assembler.read(message) {
                Signal::Created => return None,
                Signal::Nothing => {}
                Signal::Broken(reason) => return Some(End::Lost(reason)),
                Signal::Item(item) => {
                    if let Some(end) = self.report(item).await {
                        return Some(end);
                    }
                }
            }
        }
    }

    async fn serve(
        &mut self,
        mut stream: Streaming<pb::WatchResponse>,
        requests: mpsc::Sender<pb::WatchRequest>,
    ) -> End {
        let shared = self.shared.clone();
        loop {
            tokio::select! {
                message = next_message(&mut stream) => {
                    let signal = match message {
                        Ok(message) => self.assembler.read(message),
                        Err(end) => return end,
                    };
                    match signal {
                        Signal::Created | Signal::Nothing => {}
                        Signal::Broken(reason) => return End::Lost(reason),
                        Signal::Item(item) => {
                            if let Some(end) = self.report(item).await {
                                return end;
                            }
                        }
                    }
                }
                () = shared.ask.notified() => {
                    // When two requests wait already, another one would not be answered any earlier.
                    let _ = requests.try_send(wrap(RequestUnion::ProgressRequest(
                        pb::WatchProgressRequest {},
                    )));
                }
            }
        }
    }

    /// Hands an item on; waits while the consumer is behind, and so does the store.
    async fn report(&self, item: WatchItem) -> Option<End> {
        let last = matches!(item, WatchItem::Compacted { .. } | WatchItem::Reset(_));
        let gone = self.sender.send(item).await.is_err();
        (last || gone).then_some(End::Final)
    }
}

async fn next_message(stream: &mut Streaming<pb::WatchResponse>) -> Result<pb::WatchResponse, End> {
    match stream.message().await {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(End::Lost("the member ended the stream".into())),
        Err(status) => Err(End::Lost(full_text(&status))),
    }
}

fn wrap(union: RequestUnion) -> pb::WatchRequest {
    pb::WatchRequest {
        request_union: Some(union),
    }
}
