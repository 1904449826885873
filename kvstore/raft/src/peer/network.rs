//! openraft's network on peer links.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    SnapshotResponse, StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse,
};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::env::Env;
use crate::limits::APPEND_PIPELINE_DEPTH;
use crate::peer::conn::{CallError, Conn, InFlight};
use crate::peer::link::{Link, Links, Purpose};
use crate::peer::message::{
    Call, decode_append_response, decode_transfer_response, decode_vote_response, encode_append,
    encode_transfer, encode_vote_request,
};
use crate::peer::snapshot::send_snapshot;
use crate::state_dir::SnapshotDir;
use crate::types::{
    AppendRequest, AppendResponse, LogId, PeerNode, Snapshot, SnapshotMeta, TypeConfig, Vote,
    VoteRequest, VoteResponse,
};

type Rpc<T> = Result<T, RPCError<TypeConfig>>;

/// Makes clients for members.
#[derive(Clone, Debug)]
pub(crate) struct Network<E: Env> {
    pub(crate) links: Arc<Links<E>>,
    /// An append unanswered for this long breaks the connection.
    pub(crate) append_timeout: Duration,
    pub(crate) vote_timeout: Duration,
    /// Told when a snapshot of this member's turns out to be damaged.
    pub(crate) suspect: Arc<Notify>,
}

impl<E: Env> Network<E> {
    fn client(&self, target: u64, log: Purpose) -> Client<E> {
        Client {
            log: self.links.get(target, log),
            control: self.links.get(target, Purpose::Control),
            snapshot: self.links.get(target, Purpose::Snapshot),
            append_timeout: self.append_timeout,
            vote_timeout: self.vote_timeout,
            suspect: Arc::clone(&self.suspect),
        }
    }
}

impl<E: Env> RaftNetworkFactory<TypeConfig> for Network<E> {
    type Network = Client<E>;

    async fn new_client(&mut self, target: u64, _node: &PeerNode) -> Client<E> {
        self.client(target, Purpose::Log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &PeerNode) -> Client<E> {
        self.client(target, Purpose::Control)
    }
}

/// openraft's way to one member.
#[derive(Debug)]
pub(crate) struct Client<E: Env> {
    log: Arc<Link<E>>,
    control: Arc<Link<E>>,
    snapshot: Arc<Link<E>>,
    append_timeout: Duration,
    vote_timeout: Duration,
    suspect: Arc<Notify>,
}

fn unreachable(e: &io::Error) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::new(e))
}

fn call_failed(e: &CallError) -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(e))
}

fn malformed(e: &crate::codec::Malformed) -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(e))
}

impl<E: Env> Client<E> {
    async fn control(&self, call: Call, body: bytes::Bytes) -> Rpc<bytes::Bytes> {
        let exchange = async {
            let conn = self.control.conn().await.map_err(|e| unreachable(&e))?;
            conn.call(call, body).await.map_err(|e| call_failed(&e))
        };
        timeout(self.vote_timeout, exchange)
            .await
            .map_err(|_| unreachable(&io::ErrorKind::TimedOut.into()))?
    }
}

/// An append on its way and the log ids its answer speaks of.
struct Sent {
    prev: Option<LogId>,
    last: Option<LogId>,
    answer: InFlight,
}

/// Several appends on their way at once, answered in order.
struct Pipeline<S> {
    conn: Arc<Conn>,
    input: Option<S>,
    sent: VecDeque<Sent>,
    timeout: Duration,
}

impl<S: Stream<Item = AppendRequest> + Unpin> Pipeline<S> {
    /// The next answer; `None` when the input has ended and everything is answered.
    async fn next(&mut self) -> Option<Rpc<StreamAppendResult<TypeConfig>>> {
        loop {
            let room = self.sent.len() < APPEND_PIPELINE_DEPTH;
            match (self.sent.front_mut(), self.input.as_mut()) {
                (None, None) => return None,
                (Some(sent), Some(input)) if room => tokio::select! {
                    biased;
                    request = input.next() => {
                        if let Err(e) = self.send(request).await {
                            return Some(Err(e));
                        }
                    }
                    answer = timeout(self.timeout, sent.answer.answer()) => {
                        return Some(self.answered(answer));
                    }
                },
                (Some(sent), _) => {
                    let answer = timeout(self.timeout, sent.answer.answer()).await;
                    return Some(self.answered(answer));
                }
                (None, Some(input)) => {
                    let request = input.next().await;
                    if let Err(e) = self.send(request).await {
                        return Some(Err(e));
                    }
                }
            }
        }
    }

    async fn send(&mut self, request: Option<AppendRequest>) -> Rpc<()> {
        let Some(request) = request else {
            self.input = None;
            return Ok(());
        };
        let prev = request.prev_log_id;
        let last = request.entries.last().map(|e| e.log_id).or(prev);
        let answer = self
            .conn
            .submit(Call::Append, encode_append(request))
            .await
            .map_err(|e| call_failed(&e))?;
        self.sent.push_back(Sent { prev, last, answer });
        Ok(())
    }

    fn answered(
        &mut self,
        answer: Result<Result<bytes::Bytes, CallError>, tokio::time::error::Elapsed>,
    ) -> Rpc<StreamAppendResult<TypeConfig>> {
        let Some(Sent { prev, last, .. }) = self.sent.pop_front() else {
            return Err(call_failed(&CallError::Lost));
        };
        let body = match answer {
            Ok(answer) => answer.map_err(|e| call_failed(&e))?,
            Err(_) => {
                // What is still unread belongs to a session that is given up.
                self.conn.close();
                return Err(unreachable(&io::ErrorKind::TimedOut.into()));
            }
        };
        let response = decode_append_response(body).map_err(|e| malformed(&e))?;
        if matches!(response, AppendResponse::Conflict) && prev.is_none() {
            return Err(unreachable(&io::Error::other(
                "a peer conflicts with the empty log",
            )));
        }
        Ok(response.into_stream_result(prev, last))
    }
}

impl<E: Env> RaftNetworkV2<TypeConfig> for Client<E> {
    type SnapshotData = Arc<SnapshotDir>;

    async fn append_entries(
        &mut self,
        request: AppendRequest,
        _option: RPCOption,
    ) -> Rpc<AppendResponse> {
        let exchange = async {
            let conn = self.log.conn().await.map_err(|e| unreachable(&e))?;
            conn.call(Call::Append, encode_append(request))
                .await
                .map_err(|e| call_failed(&e))
        };
        let body = timeout(self.append_timeout, exchange)
            .await
            .map_err(|_| unreachable(&io::ErrorKind::TimedOut.into()))??;
        decode_append_response(body).map_err(|e| malformed(&e))
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendRequest> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let conn = self
                .log
                .conn_within(self.append_timeout)
                .await
                .map_err(|e| unreachable(&e))?;
            let pipeline = Pipeline {
                conn,
                input: Some(input),
                sent: VecDeque::new(),
                timeout: self.append_timeout,
            };
            // The first failed answer ends the session.
            let answers = stream::unfold(Some(pipeline), |pipeline| async move {
                let mut pipeline = pipeline?;
                let answer = pipeline.next().await?;
                let go_on = matches!(answer, Ok(Ok(_)));
                Some((answer, go_on.then_some(pipeline)))
            });
            let answers: BoxStream<'s, _> = Box::pin(answers);
            Ok(answers)
        })
    }

    async fn vote(&mut self, request: VoteRequest, _option: RPCOption) -> Rpc<VoteResponse> {
        let body = self
            .control(Call::Vote, encode_vote_request(&request))
            .await?;
        decode_vote_response(body).map_err(|e| malformed(&e))
    }

    async fn pre_vote(&mut self, request: VoteRequest, _option: RPCOption) -> Rpc<VoteResponse> {
        let body = self
            .control(Call::PreVote, encode_vote_request(&request))
            .await?;
        decode_vote_response(body).map_err(|e| malformed(&e))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<Arc<SnapshotDir>>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let meta: SnapshotMeta = snapshot.meta;
        let conn = self
            .snapshot
            .conn()
            .await
            .map_err(|e| unreachable_stream(&e))?;
        let env = self.snapshot.env().map_err(|e| unreachable_stream(&e))?;
        let sending = send_snapshot(&env, &conn, &vote, &meta, &snapshot.snapshot);
        tokio::select! {
            biased;
            closed = cancel => {
                conn.close();
                Err(StreamingError::Closed(closed))
            }
            sent = sending => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(e) => {
                    conn.close();
                    if e.kind() == io::ErrorKind::InvalidData {
                        self.suspect.notify_one();
                    }
                    Err(unreachable_stream(&e))
                }
            },
            () = self.control.replaced() => {
                conn.close();
                let text = "the peer was started anew while it received a snapshot";
                Err(unreachable_stream(&io::Error::other(text)))
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        let body = encode_transfer(
            request.from_leader(),
            *request.to_node_id(),
            request.last_log_id(),
        );
        let answer = self.control(Call::TransferLeader, body).await?;
        decode_transfer_response(answer).map_err(|e| malformed(&e))
    }
}

fn unreachable_stream(e: &io::Error) -> StreamingError<TypeConfig> {
    StreamingError::Unreachable(Unreachable::new(e))
}
