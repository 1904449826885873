//! Every deadline and size of the harness, in one place.

use std::time::Duration;

/// From the start of a process to a healthy answer, for any cluster size and a busy two-core machine.
pub const READY_DEADLINE: Duration = Duration::from_secs(40);
/// A clean shutdown after SIGTERM.
pub const EXIT_DEADLINE: Duration = Duration::from_secs(15);
/// One unary call, when nothing has been broken on purpose.
pub const CALL_DEADLINE: Duration = Duration::from_secs(15);
/// One message expected on an open stream.
pub const MESSAGE_DEADLINE: Duration = Duration::from_secs(15);
/// Reaching a state that several members must agree on.
pub const CONVERGE_DEADLINE: Duration = Duration::from_secs(60);
/// TCP connection and HTTP request of a health probe.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(2);
/// Between two probes of a condition.
pub const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Largest message the raw client accepts; larger than what the server accepts, so that tests see its answer.
pub const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// Lines of each member's log shown when a test fails.
pub const LOG_TAIL_LINES: usize = 40;
/// etcd refuses membership changes until the members have been connected this long.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// Most operations a single transaction may hold (etcd's --max-txn-ops).
pub const TXN_OPS_MAX: usize = 128;
