//! Traffic between members: length-prefixed, checksummed frames over byte streams.
//!
//! A connection opens with a handshake that names the cluster, both members and their incarnations, and
//! then carries requests with ids and their answers in any order. Appends keep their order because a
//! connection is read in order and each append is handed to Raft before the next is read. Log
//! entries, heartbeats with votes, forwarded requests and snapshots use connections of their own.

mod address;
mod conn;
mod frame;
mod handshake;
mod link;
mod message;
mod network;
mod serve;
mod snapshot;

pub use address::{PeerUrl, fetch_members};
pub(crate) use address::{connect, is_peer_url};
pub(crate) use conn::{CallError, Conn};
pub(crate) use handshake::{Greeter, Refusal, call_as_stranger};
pub(crate) use link::{Links, Purpose};
pub use message::RemoteCluster;
pub(crate) use message::{
    Call, MemberChange, decode_append, decode_transfer, decode_vote_request,
    encode_append_response, encode_transfer_response, encode_vote_response,
};
pub(crate) use network::Network;
pub(crate) use serve::serve;
