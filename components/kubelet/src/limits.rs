//! Every limit and deadline of this crate, in one place. Where nothing else is said they are upstream's defaults.

use std::time::Duration;

/// Pause before a container that ended is started again; doubled with each further end,
pub const RESTART_BACKOFF_MIN: Duration = Duration::from_secs(10);
/// up to this. A container that ran for twice this long starts from the beginning.
pub const RESTART_BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Pause before an image is pulled again; doubled with each further failure,
pub const PULL_BACKOFF_MIN: Duration = Duration::from_secs(10);
/// up to this.
pub const PULL_BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Grace of a pod that names none, in seconds.
pub const GRACE_SECONDS: i64 = 30;
/// Least grace that a container gets, in seconds: upstream's.
pub const GRACE_SECONDS_MIN: i64 = 2;

/// Servers in a pod's resolv.conf: what resolvers read.
pub const DNS_NAMESERVERS_MAX: usize = 3;
/// Domains in its search list,
pub const DNS_SEARCHES_MAX: usize = 32;
/// their length together with the blanks between them,
pub const DNS_SEARCH_BYTES_MAX: usize = 2048;
/// and the length of each.
pub const DNS_SEARCH_DOMAIN_BYTES_MAX: usize = 253;
