//! Bootstrap tokens: what new nodes join with. They sign what a node must know before it trusts anybody, and go when
//! their time is over.

mod cleaner;
mod secret;
mod signature;
mod signer;

pub use cleaner::bootstrap_token_cleaner;
pub use signer::bootstrap_signer;
