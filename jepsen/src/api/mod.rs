//! Fault tests of apiservers: several of them side by side on a store of several members, under clients, informers and
//! nemeses of their own. What is promised is judged by `mainstay_check::api`.

mod arena;
mod client;
mod driver;
mod finale;
mod http;
mod informer;
mod journal;
mod kind;
mod load;
mod menu;
mod nemesis;
mod object;
mod one;
mod page;
mod plan;
mod run;
mod schedule;
mod servers;
mod witness;

pub use self::menu::{ApiMenuArgs, menu, short};
pub use self::nemesis::ApiNemesis;
pub use self::one::{carry_out, judge_again};
pub use self::plan::{ApiArgs, ApiPlan};
