//! All hosts, the clients, the faults and the course of a run.

mod clients;
mod counts;
mod course;
mod faults;
mod members;
mod ops;
mod settle;
mod watching;

pub(crate) use self::course::World;
