//! The control plane under load (`mainstay-bench components`).
//!
//! A store, an apiserver, controllers, a scheduler and fake nodes, each a process of its own. Measured is what users
//! feel: how many pods find a node in a second, how long one waits for it, how soon a pod that died is replaced, and
//! what each process uses. Every figure comes from the API: a pod is bound when a watch tells of its node.

mod load;
mod objects;
mod processes;
mod report;
mod run;

pub(crate) use processes::Programs;
pub(crate) use run::{Plan, run};
