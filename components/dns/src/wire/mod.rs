//! Messages (RFC 1035, 2308, 3597, 6891): what is asked, and how it is answered. Nothing here trusts a byte.
//!
//! Data of records stays bytes, whatever its type; only names within it are written out, so that records of others go
//! through unchanged. That needs less of a library than there is in any, and nothing of what they bring along for
//! names in all the world's scripts.

mod message;
mod name;
mod numbers;
mod question;
mod record;
mod reply;
mod writer;

pub use message::{Edns, Flags, Message, Query};
pub use name::Name;
pub use numbers::{Code, Type};
pub(crate) use question::{Question, Unfit, read};
pub use record::Record;
pub(crate) use reply::{Content, Reply};
