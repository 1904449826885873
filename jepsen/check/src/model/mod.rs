//! What a correct store answers: etcd's rules over a map, one revision at a time, with undo.

mod change;
mod compare;
mod execute;
mod range;
mod state;

pub(crate) use self::change::Change;
pub(crate) use self::range::{covers, is_single};
pub(crate) use self::state::{State, Stored};
