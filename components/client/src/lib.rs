//! What the scheduler and the controllers share: they know the apiserver and nothing else.
//!
//! A component watches kinds through [`Informers`] (one list and one watch for each kind, whoever asks), puts the
//! names of what changed into a [`Queue`], and works on one name after another from what its caches hold: never
//! from an event itself, so that a restart, a lost event or a stale cache can only delay it. What it has asked for
//! and not yet seen is in [`Unseen`]. It says what it did in [`Events`].
//!
//! Nothing here is truth: every write carries what it was decided from (a resourceVersion, a uid), and a wrong
//! guess is a conflict and another round.

#![forbid(unsafe_code)]

mod access;
mod answer;
mod cache;
mod correlate;
mod credentials;
mod delete;
mod events;
mod informer;
mod informers;
mod key;
pub mod leader;
pub mod limits;
mod metadata;
pub mod metrics;
mod owners;
mod pace;
pub mod process;
pub mod quantity;
mod queue;
mod queues;
mod serve;
mod trouble;
mod unseen;

pub use access::{Access, AccessError, AccessOptions};
pub use answer::{already_exists, is_conflict, is_gone, is_stale, unless_gone, unless_stale};
pub use cache::{Cache, Index};
pub use credentials::{Credential, Credentials};
pub use delete::{delete_exactly, delete_exactly_with, delete_unchanged};
pub use events::Events;
pub use informer::{Change, Informer, Kind, Mark};
pub use informers::Informers;
pub use key::Key;
pub use metadata::{MetadataChange, follow_metadata};
pub use owners::{Claim, controller_of, controller_ref, is_controlled_by, selector};
pub use queue::Queue;
pub use queues::Queues;
pub use serve::{Health, Page, release};
pub use unseen::Unseen;
