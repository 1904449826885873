//! Bounds and times, with their units.

use std::time::Duration;

/// Services whose endpoints share one map of nftables. The kernel walks a map's elements for each rule that begins to
/// use it, and all maps of a table for each name: both stay small.
pub const CHAINS_PER_MAP: u32 = 64;
/// A chain that nobody jumps to any more may still be counted as used for so long, by kernels before 6.2.
pub const STALE_CHAIN_AGE: Duration = Duration::from_secs(1);
/// How often rules are written in full though nothing seems wrong.
pub const REWRITE_INTERVAL: Duration = Duration::from_secs(3_600);
/// Between an attempt that failed and the next, doubled up to the interval of verification.
pub const RETRY_MIN: Duration = Duration::from_secs(1);
/// Share of time that verification may take: after one that took a second the next waits for so many.
pub const VERIFY_PAUSE_FACTOR: u32 = 50;
/// Connections to all pages together, and how long each may last.
pub const PAGE_CONNECTIONS_MAX: usize = 256;
pub const PAGE_CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// Objects in one page of a list.
pub const LIST_PAGE: u32 = 500;
/// Seconds after which a watch is begun anew; the server may end it sooner.
pub const WATCH_SECONDS: u32 = 290;
/// Between attempts to watch again.
pub const WATCH_PAUSE_MIN: Duration = Duration::from_millis(100);
pub const WATCH_PAUSE_MAX: Duration = Duration::from_secs(10);
/// What a program that was run may say, in bytes; more of an error is not shown.
pub const COMPLAINT_MAX: usize = 2_000;
