//! The kubelet's API: HTTPS for the apiserver, for scrapers and for whoever may ask a node.
//!
//! Who asks is known by a client certificate or by a token, what they may is the apiserver's judgement (`guard`). Pages
//! are where upstream has them (`paths`). Streams are joined with the runtime's own streaming server (`upgrade`).

mod answer;
mod attributes;
mod clients;
mod configz;
mod guard;
mod health;
mod listed;
mod listener;
pub mod logs;
mod node_logs;
mod options;
mod paths;
mod relay;
mod remembered;
mod reviews;
mod run;
mod serve;
mod serving;
pub mod stats;
mod streams;
mod upgrade;
mod user;

pub use attributes::{subresources, verb};
pub use configz::shown;
pub use options::{ServerFields, ServerFlags, ServerOptions};
pub use paths::{NoPage, Page, Target};
pub use reviews::Lives;
pub use run::{Host, Server, ServerError};
pub use serving::{PairFiles, ServingError};
pub use user::User;
