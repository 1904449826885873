//! What node, pods and containers use: from the kernel's cgroups and from the runtime, as upstream's Summary API and
//! as figures for scrapers.

mod collect;
mod figures;
mod rates;
mod summary;
mod usage;

pub(super) use collect::Stats;
pub(super) use figures::{MEDIA, cadvisor, resource};
pub use summary::{Container, Cpu, Fs, Memory, Network, Node, Pod, PodRef, Processes, Summary};
