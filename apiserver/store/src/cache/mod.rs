//! One resource in memory: objects, latest events, watchers.
//!
//! [`ResourceCache`] is the part with tasks and clocks. Below it everything is pure: [`ordered`] holds the objects,
//! [`ring`] the latest events, [`groups`] who wants them, and [`core`] keeps the three in step under one lock that no
//! delivery needs.

mod consistent;
mod core;
#[cfg(test)]
mod core_tests;
mod event;
mod frames;
mod groups;
mod list;
mod object;
mod ordered;
mod past;
mod reflector;
mod resource;
mod ring;
mod scope;
mod stats;
mod view;
mod watcher;

pub use event::{Delivery, Event, EventKind};
pub use list::{CacheError, Freshness};
pub use object::{Attributes, Decode, Object};
pub use resource::{CacheConfig, ResourceCache, StorePage};
pub use ring::RingLimits;
pub use scope::Scope;
pub use stats::CacheStats;
pub use view::View;
pub use watcher::{Filter, Start, Step, WatchRequest, Watcher};
