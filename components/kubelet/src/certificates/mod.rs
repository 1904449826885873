//! A node's certificates: the first one by a bootstrap token, and each next one before the last one ends.

mod bootstrap;
mod keep;
mod pair;
mod rotation;
mod serving;
mod signing;
mod store;

pub use bootstrap::{BootstrapError, CLIENT_PREFIX, SERVING_PREFIX, bootstrap};
pub use keep::{Keeping, keep, obtain};
pub use pair::{Pair, PairError};
pub use rotation::{Rotation, RotationError};
pub use serving::Serving;
pub use signing::{Purpose, SigningError};
pub use store::PairStore;
