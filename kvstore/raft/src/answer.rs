//! Answers to what other members ask.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use mainstay_engine::{Engine, Scrub};
use openraft::Snapshot;
use openraft::errors::RaftError;

use crate::codec::{Put, Reader, put_vote};
use crate::env::Env;
use crate::error::Error;
use crate::metrics::count;
use crate::node::Inner;
use crate::peer::{
    Call, MemberChange, RemoteCluster, decode_append, decode_transfer, decode_vote_request,
    encode_append_response, encode_transfer_response, encode_vote_response,
};
use crate::state_dir::SnapshotDir;
use crate::types::{AppendResponse, SnapshotMeta, TypeConfig, Vote};

impl<E: Env> Inner<E> {
    /// Takes a leader's entries; returns when they are durable.
    pub(crate) async fn append(&self, body: Bytes) -> Result<Bytes, Error> {
        let request = decode_append(body)?;
        let response = self
            .raft
            .append_entries(request)
            .await
            .map_err(|e| self.raft_error(e))?;
        if !matches!(response, AppendResponse::HigherVote(_)) {
            self.hear_leader();
        }
        Ok(encode_append_response(&response))
    }

    /// Answers any other request but snapshots.
    pub(crate) async fn answer(&self, call: Call, body: Bytes) -> Result<Bytes, Error> {
        match call {
            Call::Vote => {
                let request = decode_vote_request(body)?;
                let response = self
                    .raft
                    .vote(request)
                    .await
                    .map_err(|e| self.raft_error(e))?;
                Ok(encode_vote_response(&response))
            }
            Call::PreVote => {
                let request = decode_vote_request(body)?;
                let response = self
                    .raft
                    .pre_vote(request)
                    .await
                    .map_err(|e| self.raft_error(e))?;
                Ok(encode_vote_response(&response))
            }
            Call::TransferLeader => {
                let request = decode_transfer(body)?;
                let answer = self
                    .raft
                    .handle_transfer_leader(request)
                    .await
                    .map_err(|e| self.fatal(&e))?;
                Ok(encode_transfer_response(&answer))
            }
            Call::Propose => self.propose_for_follower(body).await,
            Call::ReadIndex => self.index_for_follower().await,
            Call::KeepAlive => {
                let ttl = self
                    .renew_as_leader(Reader::new(body, "keep-alive").i64()?)
                    .await?;
                Ok(Bytes::copy_from_slice(&ttl.to_le_bytes()))
            }
            Call::TimeToLive => {
                let mut r = Reader::new(body, "time to live");
                let (id, keys) = (r.i64()?, r.bool()?);
                let info = self.time_to_live_as_leader(id, keys).await?;
                let mut out = BytesMut::new();
                out.put_i64_le(info.ttl);
                out.put_i64_le(info.granted_ttl);
                out.put_u32_le(u32::try_from(info.keys.len()).expect("keys fit memory"));
                for key in &info.keys {
                    out.put_len_bytes(key);
                }
                Ok(out.freeze())
            }
            Call::ChangeMembers => {
                self.change_members_as_leader(MemberChange::decode(body)?)
                    .await?;
                Ok(Bytes::new())
            }
            Call::Members => {
                let cluster_id = self.greeter.identity.cluster_id;
                let members = self.shared.members.load().list();
                Ok(RemoteCluster {
                    cluster_id,
                    members,
                }
                .encode())
            }
            Call::Repair => self.repair(body).await,
            Call::HashKv => {
                let revision = Reader::new(body, "hash request").i64()?;
                self.content_for_peer(revision).await
            }
            Call::HashVerdict => {
                let revision = Reader::new(body, "hash verdict").i64()?;
                self.check_myself(revision).await.map(|()| Bytes::new())
            }
            Call::Append
            | Call::SnapshotBegin
            | Call::SnapshotFile
            | Call::SnapshotData
            | Call::SnapshotEnd => Err(Error::Fatal("not a plain request".into())),
        }
    }

    /// Installs a received snapshot; returns this member's vote.
    pub(crate) async fn install(
        &self,
        vote: Vote,
        meta: SnapshotMeta,
        dir: SnapshotDir,
    ) -> Result<Bytes, Error> {
        self.verify_snapshot(dir.path().to_path_buf()).await?;
        let snapshot = Snapshot {
            meta,
            snapshot: Arc::new(dir),
        };
        let response = self
            .raft
            .install_full_snapshot(vote, snapshot)
            .await
            .map_err(|e| self.fatal(&e))?;
        self.hear_leader();
        let mut out = BytesMut::new();
        put_vote(&mut out, &response.vote);
        Ok(out.freeze())
    }

    /// Reads every record of a received checkpoint before it may replace the database. Damage there is the
    /// sender's: it is told, and this member stays as it is.
    async fn verify_snapshot(&self, path: PathBuf) -> Result<(), Error> {
        let env = self.env.clone();
        let verifying = self.env.blocking(move || {
            let engine = env.inspect_engine(&path)?;
            engine.scrub(Scrub::Records, &mut |_| ControlFlow::Continue(()))
        });
        match verifying.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => {
                tracing::error!("a received snapshot is damaged and not installed: {e}");
                count(&self.shared.metrics.snapshots_refused);
                Err(Error::Corrupt)
            }
            Err(e) => Err(Error::Fatal(e.to_string())),
        }
    }

    fn raft_error(&self, e: RaftError<TypeConfig>) -> Error {
        match e {
            RaftError::Fatal(e) => self.fatal(&e),
            RaftError::APIError(never) => match never {},
        }
    }
}
