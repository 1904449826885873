//! A client of the etcd v3 API.

mod calls;
mod compactor;
mod connection;
mod failure;
mod kv;
mod lease;
mod member;
mod page;
mod prefix;
mod stored;
mod watch;
mod watch_stream;

pub use calls::{Client, ClientConfig, Consistency};
pub use compactor::Compactor;
pub use connection::Tls;
pub use failure::Failure;
pub use lease::LeasePool;
pub use member::{MemberHealth, Version};
pub use page::{ListPage, PageRequest, Unchanged};
pub use prefix::prefix_end;
pub use stored::{Created, Deleted, Got, Stored, Updated};
pub use watch::{Watch, WatchConfig, WatchControl, WatchEvent, WatchItem};
