//! Every limit and deadline of this crate, in one place.

use std::time::Duration;

/// Nodes that fit are looked for until this many are found, whatever the share of all nodes.
pub const FEASIBLE_NODES_MIN: usize = 100;
/// Least share of the nodes that is looked for, in percent.
pub const FEASIBLE_PERCENT_MIN: usize = 5;
/// Share in a small cluster, in percent; one less for every 125 nodes.
pub const FEASIBLE_PERCENT: usize = 50;
/// Highest score of a plugin.
pub const SCORE_MAX: i64 = 100;

/// Pod classes whose filter results and scores are remembered; the one unused for longest goes first.
pub const CLASSES_MAX: usize = 256;
/// Changes of pods and topologies that are remembered for classes to catch up with.
pub const CHANGES_REMEMBERED_MAX: usize = 16_384;
/// Different extended resources that are accounted for.
pub const EXTENDED_RESOURCES_MAX: usize = 1_024;

/// CPU that a container without a request is scored with, in thousandths.
pub const CPU_ASSUMED_MILLI: i64 = 100;
/// Memory that a container without a request is scored with, in bytes.
pub const MEMORY_ASSUMED_BYTES: i64 = 200 * 1024 * 1024;

/// Pause after the first failure of a pod; doubled with each further one,
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// up to this.
pub const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A pod that no event has woken for this long is tried again.
pub const UNSCHEDULABLE_MAX: Duration = Duration::from_secs(300);
/// How often is looked for such pods.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(30);

/// Bindings and status writes under way at the same time.
pub const WRITES_MAX: usize = 256;
/// Pods that are decided on before others of the process get their turn.
pub const DECISIONS_AT_ONCE: usize = 64;
/// Longest message of a condition or event, in bytes.
pub const MESSAGE_MAX: usize = 1_024;
/// How often waiting pods are counted for the metrics while there is much to do.
pub const SHOW_INTERVAL: Duration = Duration::from_secs(1);
