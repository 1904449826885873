//! Bounds of what is done to a running stack, and to those who watch it.

use std::time::Duration;

/// For a condition that a healthy cluster reaches in seconds; a machine that does other work takes longer.
pub const DONE: Duration = Duration::from_secs(120);
/// For one command of kubectl or of the launcher.
pub const COMMAND: Duration = Duration::from_secs(60);
/// For `mainstay up` and `mainstay down`.
pub const UP: Duration = Duration::from_secs(420);
/// Between two looks at something that is waited for.
pub const LOOK: Duration = Duration::from_millis(100);

/// Between two requests of a client outside.
pub const ASK_PAUSE: Duration = Duration::from_millis(25);
/// For one of them: as long as a person would wait for a page.
pub const ASK_PATIENCE: Duration = Duration::from_secs(3);
/// Requests of one client that are kept.
pub const ASKED_MAX: usize = 200_000;
/// The longest answer that is read, in bytes.
pub const ANSWER_BYTES_MAX: u64 = 16 << 10;
/// Requests after which one speaks of "going on".
pub const ASKED_MORE: usize = 40;

/// Between two writes to the API.
pub const WRITE_PAUSE: Duration = Duration::from_millis(50);
/// For one attempt. Long: a connection to a dead master must be cut by the product, not by an impatient client.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(20);
/// Writes in a row after which the API counts as being there again.
pub const WRITTEN_MORE: usize = 40;
/// Writes of one ledger.
pub const WRITTEN_MAX: usize = 50_000;

/// `--node-monitor-grace-period` of kube-controller-manager: silence after which a node counts as lost.
pub const NODE_GRACE: Duration = Duration::from_secs(50);
/// What the pods of these tests put up with of a lost node, in seconds.
pub const TOLERATION_SECONDS: u64 = 5;
/// Beyond grace and toleration: the controller's rounds, a scheduler, and the start of a container.
pub const REPLACED_SLACK: Duration = Duration::from_secs(40);
