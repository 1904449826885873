//! Watches: one change reaching very many watchers, fast and cheaply.
//!
//! The apply thread hands every batch of revisions to the [`Hub`], which encodes each event **once** and passes the
//! batch, by reference count, to one [`Shard`] per serving thread. A shard is single-threaded and owns the watch
//! streams of the connections of its thread, so matching and delivery take no lock:
//!
//! - `ring`: the latest batches, bounded in bytes. No watcher has a queue; a watcher is a cursor into the ring.
//! - `group`: all watchers of one range share one match. Exact keys are found by hash, prefixes in a radix tree,
//!   other ranges in an interval tree, so an event costs what its *matching distinct ranges* cost.
//! - `sub`: the watchers that one stream has in one group, side by side in memory.
//! - `stream`: control responses and the list of what has something to deliver; bounded by the number of watchers.
//! - `deliver`: writes responses when the connection can take them: whoever lags gets more events per response.
//! - `catch_up`: watchers that start in the past, or lag so far that the ring has moved on, read [`History`] in
//!   bounded steps until they are level.
//!
//! What it does not do: no I/O, no clock (milliseconds are passed in), no gRPC beyond the five-byte message prefix,
//! no permission checks.
//!
//! # Using a shard
//!
//! The owner calls [`Shard::drain_inbox`] after every wake-up, [`Shard::tick`] when [`Shard::next_tick`] is due, and
//! [`Shard::take_woken`] after each of these and after [`Shard::request`] and [`Shard::poll`]; the streams listed
//! there have something to send, and are polled as soon as their connection can take it.
//!
//! Two things are easy to miss. [`Shard::next_tick`] may become earlier with any request (a first watch with progress
//! notifications) or poll (history that failed), so a thread that sleeps until then must look again. And a stream that
//! did not accept requests ([`Shard::accepts_requests`]) does so again after a poll: read on then, without waiting for
//! more bytes to arrive.

#![forbid(unsafe_code)]

mod batch;
mod body;
mod catch_up;
mod deliver;
mod drain;
mod frame;
mod group;
mod history;
mod hub;
pub mod limits;
mod matcher;
mod pending;
mod prefix_tree;
mod progress;
mod range;
mod request;
mod ring;
mod shard;
mod span_tree;
mod stream;
mod sub;

pub use history::{History, HistoryError};
pub use hub::{Hub, HubOptions, ShardSeed};
pub use shard::{Poll, Shard, ShardStats, StreamId};
