//! A bare gRPC client for one member: every call of the protocol with nothing between the test and the wire, so that
//! tests see exact status codes, texts, headers and stream messages.

use crate::limits::{CALL_DEADLINE, MESSAGE_BYTES_MAX, MESSAGE_DEADLINE};
use crate::tls::ClientIdentity;
use bytes::Bytes;
use futures_util::stream;
use http::uri::PathAndQuery;
use mainstay_proto::etcdserverpb as pb;
use prost::Message;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// Messages a stream buffers on the client's side before the server is made to wait.
const STREAM_BUFFER_MESSAGES: usize = 16;

/// A client of one member.
#[derive(Clone, Debug)]
pub struct Raw {
    channel: Channel,
    metadata: Vec<(&'static str, String)>,
    deadline: Duration,
}

macro_rules! calls {
    ($($name:ident: $path:literal, $request:ty => $response:ty;)*) => {
        impl Raw {
            $(
                #[doc = concat!("Calls `", $path, "`.")]
                pub async fn $name(&self, request: $request) -> Result<$response, Status> {
                    self.unary($path, request).await
                }
            )*
        }
    };
}

calls! {
    range: "/etcdserverpb.KV/Range", pb::RangeRequest => pb::RangeResponse;
    put: "/etcdserverpb.KV/Put", pb::PutRequest => pb::PutResponse;
    delete_range: "/etcdserverpb.KV/DeleteRange", pb::DeleteRangeRequest => pb::DeleteRangeResponse;
    txn: "/etcdserverpb.KV/Txn", pb::TxnRequest => pb::TxnResponse;
    compact: "/etcdserverpb.KV/Compact", pb::CompactionRequest => pb::CompactionResponse;
    lease_grant: "/etcdserverpb.Lease/LeaseGrant", pb::LeaseGrantRequest => pb::LeaseGrantResponse;
    lease_revoke: "/etcdserverpb.Lease/LeaseRevoke", pb::LeaseRevokeRequest => pb::LeaseRevokeResponse;
    lease_time_to_live: "/etcdserverpb.Lease/LeaseTimeToLive", pb::LeaseTimeToLiveRequest => pb::LeaseTimeToLiveResponse;
    lease_leases: "/etcdserverpb.Lease/LeaseLeases", pb::LeaseLeasesRequest => pb::LeaseLeasesResponse;
    member_add: "/etcdserverpb.Cluster/MemberAdd", pb::MemberAddRequest => pb::MemberAddResponse;
    member_remove: "/etcdserverpb.Cluster/MemberRemove", pb::MemberRemoveRequest => pb::MemberRemoveResponse;
    member_update: "/etcdserverpb.Cluster/MemberUpdate", pb::MemberUpdateRequest => pb::MemberUpdateResponse;
    member_list: "/etcdserverpb.Cluster/MemberList", pb::MemberListRequest => pb::MemberListResponse;
    member_promote: "/etcdserverpb.Cluster/MemberPromote", pb::MemberPromoteRequest => pb::MemberPromoteResponse;
    alarm: "/etcdserverpb.Maintenance/Alarm", pb::AlarmRequest => pb::AlarmResponse;
    status: "/etcdserverpb.Maintenance/Status", pb::StatusRequest => pb::StatusResponse;
    defragment: "/etcdserverpb.Maintenance/Defragment", pb::DefragmentRequest => pb::DefragmentResponse;
    hash: "/etcdserverpb.Maintenance/Hash", pb::HashRequest => pb::HashResponse;
    hash_kv: "/etcdserverpb.Maintenance/HashKV", pb::HashKvRequest => pb::HashKvResponse;
    move_leader: "/etcdserverpb.Maintenance/MoveLeader", pb::MoveLeaderRequest => pb::MoveLeaderResponse;
}

impl Raw {
    /// A client that connects when it is first used and again whenever the connection was lost.
    pub fn connect(url: &str, tls: Option<&ClientIdentity>) -> Self {
        let mut endpoint = Endpoint::from_shared(url.to_owned())
            .expect("test URLs are valid")
            .connect_timeout(Duration::from_secs(1));
        if let Some(identity) = tls {
            endpoint = endpoint
                .tls_config(identity.tonic())
                .expect("issued identities are valid");
        }
        Self {
            channel: endpoint.connect_lazy(),
            metadata: Vec::new(),
            deadline: CALL_DEADLINE,
        }
    }

    /// The same connection with `hasleader: true` on every call.
    #[must_use]
    pub fn require_leader(self) -> Self {
        self.with_metadata("hasleader", "true")
    }

    /// The same connection with one more metadata entry on every call.
    #[must_use]
    pub fn with_metadata(mut self, name: &'static str, value: &str) -> Self {
        self.metadata.push((name, value.to_owned()));
        self
    }

    /// The same connection with another client-side deadline for unary calls.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Any unary call by path.
    pub async fn unary<Q, R>(&self, path: &'static str, message: Q) -> Result<R, Status>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let call = async {
            let mut grpc = self.grpc().await?;
            let path = PathAndQuery::from_static(path);
            let answer = grpc.unary(self.request(message), path, ProstCodec::<Q, R>::default());
            answer.await.map(tonic::Response::into_inner)
        };
        timeout(self.deadline, call)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("the test's own deadline")))
    }

    /// Opens a stream in both directions.
    pub fn duplex<Q, R>(&self, path: &'static str) -> Duplex<Q, R>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let (requests, outgoing) = mpsc::channel::<Q>(STREAM_BUFFER_MESSAGES);
        let outgoing = stream::unfold(outgoing, async |mut receiver| {
            receiver.recv().await.map(|message| (message, receiver))
        });
        let (sender, responses) = mpsc::channel(STREAM_BUFFER_MESSAGES);
        let raw = self.clone();
        // In a task, because servers written in Go send response headers with the first message only.
        let task = tokio::spawn(async move {
            let end = raw.stream_to(path, Box::pin(outgoing), &sender).await.err();
            if let Some(status) = end {
                // Fails only when the test has dropped the stream.
                let _ = sender.send(Err(status)).await;
            }
        });
        Duplex {
            requests,
            responses,
            task,
        }
    }

    /// Opens a watch stream without any watch yet.
    pub fn watch_stream(&self) -> Watches {
        self.duplex("/etcdserverpb.Watch/Watch")
    }

    /// Opens a keep-alive stream.
    pub fn keep_alive_stream(
        &self,
    ) -> Duplex<pb::LeaseKeepAliveRequest, pb::LeaseKeepAliveResponse> {
        self.duplex("/etcdserverpb.Lease/LeaseKeepAlive")
    }

    /// A range as a stream of chunks, collected.
    pub async fn range_stream(
        &self,
        request: pb::RangeRequest,
    ) -> Result<Vec<pb::RangeResponse>, Status> {
        let path = PathAndQuery::from_static("/etcdserverpb.KV/RangeStream");
        let codec = ProstCodec::<pb::RangeRequest, pb::RangeStreamResponse>::default();
        let call = async {
            let mut grpc = self.grpc().await?;
            let answer = grpc
                .server_streaming(self.request(request), path, codec)
                .await?;
            let mut chunks = answer.into_inner();
            let mut collected = Vec::new();
            while let Some(chunk) = chunks.message().await? {
                collected.extend(chunk.range_response);
            }
            Ok(collected)
        };
        timeout(self.deadline, call)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("the test's own deadline")))
    }

    /// One key, linearizable.
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<pb::RangeResponse, Status> {
        self.range(pb::RangeRequest {
            key: key.into(),
            ..Default::default()
        })
        .await
    }

    /// All keys with a prefix, linearizable.
    pub async fn get_prefix(&self, prefix: &str) -> Result<pb::RangeResponse, Status> {
        let range_end = prefix_end(prefix.as_bytes());
        let key = Bytes::copy_from_slice(prefix.as_bytes());
        self.range(pb::RangeRequest {
            key,
            range_end,
            ..Default::default()
        })
        .await
    }

    /// Puts a value and returns the revision of the write.
    pub async fn set(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<i64, Status> {
        let request = pb::PutRequest {
            key: key.into(),
            value: value.into(),
            ..Default::default()
        };
        Ok(revision(self.put(request).await?.header))
    }

    /// Deletes one key and returns the store's revision afterwards.
    pub async fn remove(&self, key: impl Into<Bytes>) -> Result<i64, Status> {
        let request = pb::DeleteRangeRequest {
            key: key.into(),
            ..Default::default()
        };
        Ok(revision(self.delete_range(request).await?.header))
    }

    /// The store's current revision, linearizable.
    pub async fn revision(&self) -> Result<i64, Status> {
        Ok(revision(self.get("\0").await?.header))
    }

    async fn grpc(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(format!("connect: {error:?}")))?;
        Ok(grpc)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (name, value) in &self.metadata {
            let value = MetadataValue::try_from(value.as_str()).expect("test metadata is ASCII");
            request.metadata_mut().insert(*name, value);
        }
        request
    }

    async fn stream_to<Q, R>(
        &self,
        path: &'static str,
        outgoing: impl futures_util::Stream<Item = Q> + Send + 'static,
        sender: &mpsc::Sender<Result<R, Status>>,
    ) -> Result<(), Status>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc().await?;
        let path = PathAndQuery::from_static(path);
        let request = self.request(outgoing);
        let answer = grpc
            .streaming(request, path, ProstCodec::<Q, R>::default())
            .await?;
        let mut responses = answer.into_inner();
        while let Some(message) = responses.message().await? {
            if sender.send(Ok(message)).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// A stream in both directions; dropping it cancels the call.
#[derive(Debug)]
pub struct Duplex<Q, R> {
    requests: mpsc::Sender<Q>,
    responses: mpsc::Receiver<Result<R, Status>>,
    task: JoinHandle<()>,
}

/// A watch stream.
pub type Watches = Duplex<pb::WatchRequest, pb::WatchResponse>;

impl<Q, R> Duplex<Q, R> {
    /// Sends a message; a stream that has already failed reports so when it is read.
    pub async fn send(&self, message: Q) {
        // The failure itself is what `next` returns.
        let _ = self.requests.send(message).await;
    }

    /// The next message or the status that ended the stream; panics when nothing comes within the deadline.
    pub async fn next(&mut self) -> Result<R, Status> {
        timeout(MESSAGE_DEADLINE, self.next_or_end())
            .await
            .unwrap_or_else(|_| panic!("no message on the stream within {MESSAGE_DEADLINE:?}"))
    }

    /// Like [`Self::next`] without a deadline; an orderly end is reported as status `Ok`.
    pub async fn next_or_end(&mut self) -> Result<R, Status> {
        self.responses
            .recv()
            .await
            .unwrap_or_else(|| Err(Status::ok("end of the stream")))
    }
}

impl<Q, R> Drop for Duplex<Q, R> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watches {
    /// Sends a create request.
    pub async fn create(&self, request: pb::WatchCreateRequest) {
        self.send_union(pb::watch_request::RequestUnion::CreateRequest(request))
            .await;
    }

    /// Sends a cancel request.
    pub async fn cancel(&self, watch_id: i64) {
        let request = pb::WatchCancelRequest { watch_id };
        self.send_union(pb::watch_request::RequestUnion::CancelRequest(request))
            .await;
    }

    /// Asks for progress.
    pub async fn progress(&self) {
        let request = pb::WatchProgressRequest {};
        self.send_union(pb::watch_request::RequestUnion::ProgressRequest(request))
            .await;
    }

    /// Creates a watch and returns the first answer, which must be its Created form.
    pub async fn created(&mut self, request: pb::WatchCreateRequest) -> pb::WatchResponse {
        self.create(request).await;
        let response = self.next().await.expect("a watch is created");
        assert!(response.created, "{response:?}");
        assert!(response.events.is_empty(), "{response:?}");
        response
    }

    async fn send_union(&self, union: pb::watch_request::RequestUnion) {
        self.send(pb::WatchRequest {
            request_union: Some(union),
        })
        .await;
    }
}

/// The revision of a header that must be there.
pub fn revision(header: Option<pb::ResponseHeader>) -> i64 {
    header.expect("the response has a header").revision
}

/// The first key after all keys with this prefix.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end.into();
        }
        end.pop();
    }
    Bytes::from_static(b"\0")
}
