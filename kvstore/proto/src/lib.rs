//! The etcd v3 wire messages (API of etcd 3.7), as prost types with `Bytes` fields.
//!
//! Field numbers, types and enum values are those of etcd's public protocol; services live with the server.
//! Every `bytes` field is a [`bytes::Bytes`] so that a request decoded from a network buffer shares it.

#![forbid(unsafe_code)]

pub mod authpb;
pub mod etcdserverpb;
pub mod mvccpb;
pub mod v3electionpb;
pub mod v3lockpb;
