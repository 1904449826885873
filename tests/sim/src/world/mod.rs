//! All hosts, the clients, the faults and the course of a run.

mod clients;
mod counts;
mod faults;
mod members;
mod ops;
mod settle;
mod watching;
mod world;

pub(crate) use self::world::World;
