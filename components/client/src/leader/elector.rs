//! A candidate: reads and writes the Lease.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use prometheus_client::metrics::gauge::Gauge;
use rand::Rng as _;
use tokio::time::{sleep, timeout};

use super::clock::monotonic;
use super::election::{Decision, Election};
use super::fence::Fence;
use super::options::ElectionOptions;
use super::record::Record;
use crate::events::Events;

/// How much longer than the retry period a candidate waits at most, as a factor; client-go's.
const JITTER: f64 = 1.2;

/// One candidate of an election.
pub struct Elector {
    leases: Api<Lease>,
    options: ElectionOptions,
    election: Election,
    /// As it was read or written last.
    lease: Option<Lease>,
    fence: Fence,
    events: Events,
    leads: Gauge,
}

impl fmt::Debug for Elector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elector")
            .field("options", &self.options)
            .field("election", &self.election)
            .finish_non_exhaustive()
    }
}

/// What an attempt led to.
enum Attempt {
    Leads,
    Other,
}

impl Elector {
    /// `client` gives up early: see [`ElectionOptions::patience`]. `leads` is 1 while this candidate does. The fence
    /// is opened for as long as it leads for certain.
    #[must_use]
    pub fn new(
        client: Client,
        options: ElectionOptions,
        fence: Fence,
        events: Events,
        leads: Gauge,
    ) -> Self {
        leads.set(0);
        Self {
            leases: Api::namespaced(client, &options.namespace),
            election: Election::new(&options.identity, options.lease_seconds()),
            options,
            lease: None,
            fence,
            events,
            leads,
        }
    }

    /// Waits to be elected.
    pub async fn acquire(&mut self) {
        let mut last = None;
        loop {
            match self.attempt().await {
                Ok(Attempt::Leads) => break,
                Ok(Attempt::Other) => {
                    let holder = self.election.holder().cloned();
                    if holder != last {
                        tracing::info!(lease = self.options.name, holder, "another instance leads");
                        last = holder;
                    }
                }
                Err(error) => tracing::warn!(lease = self.options.name, "election: {error}"),
            }
            let factor = 1.0 + JITTER * rand::rng().random_range(0.0..1.0);
            sleep(self.options.retry_period.mul_f64(factor)).await;
        }
        self.leads.set(1);
        tracing::info!(lease = self.options.name, "elected");
        self.tell("became leader");
    }

    /// Renews until leadership is lost, and closes the fence then. The process should end.
    pub async fn hold(&mut self) {
        let mut lost = "it was not renewed in time";
        loop {
            sleep(self.options.retry_period).await;
            match timeout(self.options.renew_deadline, self.renew()).await {
                Ok(true) => {}
                Ok(false) => {
                    lost = "another instance has it";
                    break;
                }
                Err(_) => break,
            }
        }
        self.fence.close();
        self.leads.set(0);
        tracing::error!(lease = self.options.name, "leadership lost: {lost}");
        self.tell("stopped leading");
    }

    /// Tries until it is renewed or another one leads.
    async fn renew(&mut self) -> bool {
        loop {
            match self.attempt().await {
                Ok(Attempt::Leads) => return true,
                Ok(Attempt::Other) => return false,
                Err(error) => {
                    tracing::warn!(lease = self.options.name, "renewing the lease: {error}");
                }
            }
            sleep(self.options.retry_period).await;
        }
    }

    /// Lets the next one lead at once. All of this process's writes must have ended.
    ///
    /// # Errors
    /// When the lease was not written; it runs out by itself then.
    pub async fn release(&mut self) -> kube::Result<()> {
        self.fence.close();
        self.leads.set(0);
        match timeout(self.options.renew_deadline, self.clear()).await {
            Ok(cleared) => cleared?,
            Err(late) => return Err(kube::Error::Service(Box::new(late))),
        }
        self.tell("stopped leading");
        Ok(())
    }

    async fn clear(&mut self) -> kube::Result<()> {
        loop {
            let Some(record) = self.election.released(Timestamp::now()) else {
                return Ok(());
            };
            match self.write(&record).await {
                // A renewal that was given up may have been written after all.
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    let lease = self.leases.get(&self.options.name).await?;
                    self.election
                        .saw(Record::of(lease.spec.as_ref()), monotonic());
                    self.lease = Some(lease);
                }
                other => return other,
            }
        }
    }

    async fn attempt(&mut self) -> kube::Result<Attempt> {
        // First without reading: that is what all renewals but the unusual ones are.
        if let Some(record) = self.election.renewal(monotonic(), Timestamp::now()) {
            match self.write(&record).await {
                Ok(()) => return Ok(Attempt::Leads),
                Err(error) => tracing::debug!("renewing without reading first: {error}"),
            }
        }
        let Some(lease) = self.leases.get_opt(&self.options.name).await? else {
            let record = self.election.first(Timestamp::now());
            self.create(&record).await?;
            return Ok(Attempt::Leads);
        };
        self.election
            .saw(Record::of(lease.spec.as_ref()), monotonic());
        self.lease = Some(lease);
        match self.election.decide(monotonic(), Timestamp::now()) {
            Decision::Wait => Ok(Attempt::Other),
            Decision::Write(record) => {
                self.write(&record).await?;
                Ok(Attempt::Leads)
            }
        }
    }

    async fn create(&mut self, record: &Record) -> kube::Result<()> {
        let mut lease = Lease::default();
        lease.metadata.name = Some(self.options.name.clone());
        lease.metadata.namespace = Some(self.options.namespace.clone());
        record.put(lease.spec.get_or_insert_default());
        let begin = monotonic();
        let made = self.leases.create(&PostParams::default(), &lease).await?;
        self.wrote(made, begin);
        Ok(())
    }

    /// Over the lease that was read last: a conflict if that is not the one that is there.
    async fn write(&mut self, record: &Record) -> kube::Result<()> {
        let mut lease = self.lease.clone().unwrap_or_default();
        record.put(lease.spec.get_or_insert_default());
        let begin = monotonic();
        let params = PostParams::default();
        let written = self.leases.replace(&self.options.name, &params, &lease);
        let written = written.await?;
        self.wrote(written, begin);
        Ok(())
    }

    fn wrote(&mut self, lease: Lease, begin: Duration) {
        self.election
            .saw(Record::of(lease.spec.as_ref()), monotonic());
        self.lease = Some(lease);
        if self.election.leads() {
            self.fence.extend(begin + self.options.certain());
        }
    }

    fn tell(&self, what: &str) {
        if let Some(lease) = &self.lease {
            let message = format!("{} {what}", self.options.identity);
            self.events.normal(lease, "LeaderElection", message);
        }
    }
}

/// A name for this instance that no other has, as upstream makes it: host and a random UUID.
#[must_use]
pub fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let bits: u128 = rand::rng().random();
    // Version 4, variant 1.
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    format!("{}_{}", host.trim(), parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::coordination::v1::LeaseSpec;

    #[test]
    fn identities_are_uuids_and_differ() {
        let (a, b) = (identity(), identity());
        assert_ne!(a, b);
        let uuid = a.rsplit('_').next().expect("it has one");
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&uuid.as_bytes()[19]));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let election = Election::new("me", 15);
        let record = election.first(Timestamp::from_second(5).expect("it is in range"));
        let mut spec = LeaseSpec::default();
        record.put(&mut spec);
        assert_eq!(Record::of(Some(&spec)), record);
    }
}
