//! What may go wrong with a running cluster, done on purpose, and what its users see of it.

mod ground;
mod machine;
mod masters;
mod outage;
mod processes;
mod watch;
mod worker;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use clap::ValueEnum;
use futures_util::FutureExt as _;

pub use ground::Ground;

/// One kind of fault. Each panics when users see more of it than they may, and returns what was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// `kill -9` of each master in turn, as often as there are rounds; all may be back before the next goes.
    Masters,
    /// A second master goes as soon as the apiserver of the first is back.
    TwoMasters,
    /// `kill -9` of the kubelet, the runtime, the proxy, the network agent and the balancer of a worker.
    Processes,
    /// `kill -9` of a pod of DNS.
    Dns,
    /// A worker's power goes.
    Worker,
    /// All masters are gone for a while.
    Outage,
    /// The power of all hosts goes at once.
    Everything,
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Times that each master dies.
    pub rounds: usize,
    /// How long there is no control plane.
    pub outage: Duration,
}

/// What was measured: names and values, as a person reads them.
pub type Findings = Vec<(String, String)>;

impl Case {
    /// Does it. `Err` says what went wrong, or what users saw.
    pub async fn run(self, ground: &Ground<'_>, measure: Measure) -> Result<Findings, String> {
        let doing = async {
            match self {
                Self::Masters => masters::each(ground, measure.rounds).await,
                Self::TwoMasters => masters::two(ground).await,
                Self::Processes => processes::each(ground).await,
                Self::Dns => processes::dns(ground).await,
                Self::Worker => worker::lost(ground).await,
                Self::Outage => outage::of_all_masters(ground, measure.outage).await,
                Self::Everything => machine::power_cut(ground).await,
            }
        };
        let done = AssertUnwindSafe(doing).catch_unwind().await;
        done.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            text.unwrap_or_else(|| "it panicked".to_owned())
        })
    }

    /// As on the command line.
    #[must_use]
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}
