//! Former templates of stateful sets and daemon sets, kept as ControllerRevision objects: what
//! `kubectl rollout history` shows and `kubectl rollout undo` goes back to.

mod keep;
mod revision;

pub(crate) use keep::History;
pub(crate) use revision::{DAEMON_HASH, snapshot, template_of};
