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

/// A pod's volumes: until what they name is there, an attempt to mount them waits this long before it is told that it
/// failed; upstream's two minutes and three seconds.
pub const MOUNT_DEADLINE: Duration = Duration::from_secs(123);
/// Pause before a volume is tried again; doubled with each further failure,
pub const MOUNT_BACKOFF_MIN: Duration = Duration::from_millis(500);
/// up to this.
pub const MOUNT_BACKOFF_MAX: Duration = Duration::from_secs(122);
/// Between two looks at whether a pod's tokens have to be renewed, and at whether its files are what they shall be.
pub const VOLUMES_LOOK: Duration = Duration::from_secs(60);
/// Age at which a service account token is renewed, if four fifths of its life are not over before.
pub const TOKEN_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Seconds of life that a token is asked for where its volume names none.
pub const TOKEN_SECONDS: i64 = 3600;
/// Until an attempt to watch an object is made again; doubled with each further failure,
pub const OBJECT_PAUSE_MIN: Duration = Duration::from_millis(200);
/// up to this.
pub const OBJECT_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Objects that are watched at once, over all pods: 110 pods with some twenty each.
pub const OBJECTS_MAX: usize = 2500;
/// How long somebody who needs an object waits for the first answer about it.
pub const OBJECT_DEADLINE: Duration = Duration::from_secs(10);

/// Attempts to remove a pod's cgroup, in which a process may still be ending,
pub const CGROUP_ATTEMPTS: u32 = 20;
/// and the pause between two.
pub const CGROUP_PAUSE: Duration = Duration::from_millis(50);
/// Cgroups within a pod's. Deeper ones are a mistake or an attack.
pub const CGROUP_DEPTH_MAX: usize = 64;
