//! Pods as controllers see them: their states, and making and deleting them.

mod batch;
mod control;
mod disruption;
mod index;
mod state;

pub(crate) use batch::slow_start;
pub(crate) use control::{PodControl, namespace_goes, pod_from, reason};
pub(crate) use disruption::disruption;
pub(crate) use index::{by_controller, candidates, owned};
pub(crate) use state::{is_active, is_available, is_ready, phase, ready_since, restarts};
