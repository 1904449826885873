//! What the clients do: one module per workload, each a loop per client.

mod append;
mod cas;
mod keys;
mod kubernetes;
mod lease;
mod register;
mod set;
mod txn;
mod watch;
mod witness;

pub use self::witness::{Target, Witness};

use self::keys::Rotation;
use crate::client::{Client, Shared};
use crate::limits::{APPENDS_PER_KEY, REGISTER_OPS_PER_KEY, SET_ELEMENTS};
use clap::ValueEnum;
use mainstay_check::history::{Blob, Demand, OpKind, RunInfo};
use std::fmt;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Workload {
    /// Gets, puts and compare-and-swaps by version on single keys.
    Register,
    /// Unique elements added to one value by compare-and-swap, while others read it.
    Set,
    /// Transactions of one to four reads and appends over three keys, guarded by modification revisions.
    Append,
    /// Multi-key transactions of reads and blind writes, with nested and failing branches.
    Txn,
    /// Compare-and-swap by revision, creations and deletions that race for few keys.
    Cas,
    /// Watches from the past, the present and the future, across compaction, resumed again and again.
    Watch,
    /// Leases: grants, attached keys, keep-alives, revocations and expiry.
    Lease,
    /// What a Kubernetes apiserver does: optimistic writes, paged lists, watches, its own compaction, event leases.
    Kubernetes,
    /// A client of every other kind at once.
    Mixed,
}

impl Workload {
    /// Every workload.
    pub const ALL: &'static [Self] = &[
        Self::Register,
        Self::Set,
        Self::Append,
        Self::Txn,
        Self::Cas,
        Self::Watch,
        Self::Lease,
        Self::Kubernetes,
        Self::Mixed,
    ];

    /// The name by which it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Set => "set",
            Self::Append => "append",
            Self::Txn => "txn",
            Self::Cas => "cas",
            Self::Watch => "watch",
            Self::Lease => "lease",
            Self::Kubernetes => "kubernetes",
            Self::Mixed => "mixed",
        }
    }

    /// One sentence for lists.
    pub fn about(self) -> String {
        about(&self)
    }
}

impl Workload {
    /// What the checkers must know of this workload: which keys mean what, and what must have happened.
    pub fn describe(self, info: &mut RunInfo) {
        let wants = |kinds: &[OpKind]| kinds.iter().map(|kind| (*kind, 1)).collect();
        let writes = match self {
            Self::Lease => vec![
                OpKind::Put,
                OpKind::LeaseGrant,
                OpKind::LeaseKeepAlive,
                OpKind::LeaseTtl,
            ],
            Self::Kubernetes => vec![OpKind::Txn, OpKind::Compact, OpKind::LeaseGrant],
            Self::Watch => vec![OpKind::Put, OpKind::Delete, OpKind::Txn, OpKind::Compact],
            Self::Append | Self::Cas => vec![OpKind::Txn],
            Self::Set => vec![OpKind::Put],
            Self::Register | Self::Txn | Self::Mixed => vec![OpKind::Put, OpKind::Txn],
        };
        info.demand = Demand {
            ops: wants(&writes),
            watch_events: 1,
            member_facts: info.members.into(),
            ..Demand::default()
        };
        info.demand.ops.insert(OpKind::Range, 1);
        if matches!(self, Self::Set | Self::Mixed) {
            info.sets.extend(set::prefixes().map(Blob::from));
        }
        if matches!(self, Self::Append | Self::Mixed) {
            info.lists.push(Blob::from(append::PREFIX));
        }
        if matches!(self, Self::Register | Self::Mixed) {
            info.registers.push(Blob::from(register::PREFIX));
        }
    }

    /// Starts `per_member` clients for every member, and the watchers of the workload. They end with the load.
    pub fn start(self, shared: &Arc<Shared>, per_member: usize, tasks: &mut JoinSet<()>) {
        let members = shared.urls.len();
        let rotations = Arc::new(Rotations::new());
        let clients = members * per_member;
        for slot in 0..clients {
            let client = Client::new(shared, slot, slot % members);
            tasks.spawn(work(self.of(slot / members), client, rotations.clone()));
        }
        for slot in clients..clients + members * self.watchers_per_member() {
            let client = Client::new(shared, slot, slot % members);
            match self {
                Self::Kubernetes => tasks.spawn(kubernetes::reflector(client)),
                _ => tasks.spawn(watch::watcher(client)),
            };
        }
    }

    fn watchers_per_member(self) -> usize {
        match self {
            Self::Watch => 3,
            Self::Kubernetes => 2,
            Self::Mixed => 1,
            _ => 0,
        }
    }

    /// What the clients of a place do: a mixture gives every place another workload.
    fn of(self, place: usize) -> Self {
        const PARTS: [Workload; 8] = [
            Workload::Register,
            Workload::Append,
            Workload::Watch,
            Workload::Lease,
            Workload::Cas,
            Workload::Txn,
            Workload::Kubernetes,
            Workload::Set,
        ];
        match self {
            Self::Mixed => PARTS[place % PARTS.len()],
            other => other,
        }
    }
}

/// The keys that take turns, by workload.
#[derive(Debug)]
struct Rotations {
    register: Rotation,
    set: Rotation,
    append: Rotation,
}

impl Rotations {
    fn new() -> Self {
        Self {
            register: Rotation::new(register::LIVE, REGISTER_OPS_PER_KEY),
            set: Rotation::new(set::LIVE, SET_ELEMENTS),
            append: Rotation::new(append::LIVE, APPENDS_PER_KEY),
        }
    }
}

async fn work(workload: Workload, mut client: Client, rotations: Arc<Rotations>) {
    let mut leases = lease::Leases::default();
    let mut apiserver = kubernetes::Apiserver::default();
    // One in each member's first place compacts: more would leave no past to read.
    let compacts = client.slot < client.shared.urls.len();
    while client.turn().await {
        match workload {
            Workload::Register => register::run(&mut client, &rotations.register).await,
            Workload::Set => set::run(&mut client, &rotations.set).await,
            Workload::Append => append::run(&mut client, &rotations.append).await,
            Workload::Txn => txn::run(&mut client).await,
            Workload::Cas => cas::run(&mut client).await,
            Workload::Watch => watch::run(&mut client, compacts).await,
            Workload::Lease => lease::run(&mut client, &mut leases).await,
            Workload::Kubernetes => kubernetes::run(&mut client, &mut apiserver).await,
            Workload::Mixed => unreachable!("a mixture consists of the others"),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The documentation of a value of a named choice, which is what `--help` shows too.
pub(crate) fn about(value: &impl ValueEnum) -> String {
    value
        .to_possible_value()
        .and_then(|value| value.get_help().map(ToString::to_string))
        .unwrap_or_default()
}
