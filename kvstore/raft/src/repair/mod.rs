//! What a member does about damage to its own data.
//!
//! Whoever finds damage that is not provably harmless reports it ([`Damage`]): a note on disk ([`Case`]), and
//! the member stops. From then on, whatever happens, the data is not used any more. With the note in place
//! the member does not start Raft, so it neither votes nor acknowledges; it only asks its peers to be replaced
//! ([`ask`]). The leader ([`lead`]) first removes it from Raft's membership and then adds it again as a
//! learner, under the same id, with another incarnation and nothing on disk.
//!
//! Why that is safe: the removal is committed by a quorum without the member, for it does not take part.
//! Nothing it ever voted for or acknowledged counts in the configurations from then on. Where an older one is
//! still believed in (a voter that was away), a majority of its n voters with the replaced member among them
//! has at least n/2 others, rounded down, and the removal is on more than (n-1)/2 of the n-1 others: they have
//! one in common. That one refuses a candidate without the removal, and appends of older terms. So what the
//! member forgot can neither elect a leader without the removal nor commit anything beside it.
//!
//! What the member has served before is not taken back: with its new data it serves nothing until it has
//! applied what was committed when it was added again.

mod ask;
mod case;
mod compare;
mod damage;
mod history;
mod lead;
mod request;
mod scrub;

pub use self::ask::{AskError, Granted, ask};
pub use self::case::{Case, Condition, Kind, inspect};
pub(crate) use self::damage::{Damage, is_damage};
pub use self::history::History;
pub use self::history::Progress;
pub(crate) use self::request::RepairRequest;
