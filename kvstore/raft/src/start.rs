//! Bringing a member up and down.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use mainstay_engine::Engine;
use mainstay_watch::{Hub, HubOptions, ShardSeed};
use openraft::{Config, SnapshotPolicy};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::admission::Space;
use crate::command::Command;
use crate::config::NodeConfig;
use crate::env::Env;
use crate::error::{StartError, StopReason};
use crate::limits::{
    LOG_KEEP_ENTRIES, PEER_CONNECT_TIMEOUT, SNAPSHOT_COUNT_ETCD, SNAPSHOT_ENTRIES, SNAPSHOT_TIMEOUT,
};
use crate::members::Attributes;
use crate::metrics::Metrics;
use crate::node::{Inner, LeaderInfo, Node, Raft};
use crate::peer::{Greeter, Links, Network, Purpose, Refusal, serve};
use crate::reads::ReadRounds;
use crate::reclaim::Reclaimer;
use crate::records::Opened;
use crate::state_machine::{Shared, StateMachine};
use crate::storage::{Storage, known_peers, open_when_there_is_room, watch_engine};
use crate::types::PeerNode;
use crate::waiters::Waiters;

/// Pause between two attempts to publish this member's attributes.
const PUBLISH_PAUSE: Duration = Duration::from_millis(100);
/// Whole time a clean shutdown may take to hand leadership over.
const HANDOVER_LIMIT: Duration = Duration::from_millis(1000);

impl<E: Env> Node<E> {
    /// Opens the data directory, joins or founds the cluster and starts serving peers. Returns the node
    /// and the seeds of its watch shards, one per serving thread.
    pub async fn start(env: E, config: NodeConfig) -> Result<(Self, Vec<ShardSeed>), StartError> {
        let starting = env.spawn(start_inner(env.clone(), config));
        let started = match starting.await {
            Ok(started) => started,
            Err(e) => Err(StartError::Raft(e.to_string())),
        };
        match started {
            Ok((inner, seeds)) => Ok((Self { inner }, seeds)),
            Err(e) => {
                env.close();
                Err(e)
            }
        }
    }

    /// Hands leadership over, writes what is in memory to disk and stops. Bounded in time.
    pub async fn shutdown(&self) {
        let inner = Arc::clone(&self.inner);
        if inner.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let env = inner.env.clone();
        let stopping = env.clone().spawn(async move {
            if inner.raft.is_leader()
                && let Some(to) = inner.best_successor()
                && !matches!(
                    timeout(HANDOVER_LIMIT, inner.transfer_leader(to)).await,
                    Ok(Ok(()))
                )
            {
                tracing::warn!("leadership could not be handed over in time");
            }
            inner.stop_with(StopReason::Shutdown);
            if let Err(e) = inner.raft.shutdown().await {
                tracing::warn!("raft did not stop cleanly: {e}");
            }
            let flushing = env.blocking(move || {
                if let Err(e) = inner.shared.engine.load().flush() {
                    tracing::warn!("flush at shutdown: {e}");
                }
                if let Err(e) = inner.wal.close() {
                    tracing::warn!("closing the log: {e}");
                }
            });
            drop(flushing.await);
        });
        drop(stopping.await);
        self.inner.env.close();
    }
}

fn raft_config(config: &NodeConfig) -> Result<Config, StartError> {
    let election = config.election_ms;
    let snapshot_entries = match config.snapshot_count {
        // etcd's default suits its own snapshots; a checkpoint of ours is rarer and cheaper than that.
        SNAPSHOT_COUNT_ETCD => SNAPSHOT_ENTRIES,
        chosen => chosen.max(1),
    };
    let keep = LOG_KEEP_ENTRIES.min(snapshot_entries / 2);
    let raft = Config {
        cluster_name: format!("{:x}", config.cluster_id),
        heartbeat_interval: config.heartbeat_ms,
        // openraft waits for a lease of the upper bound and then for a random time between the bounds:
        // together 1.1 to 1.5 of etcd's election timeouts, where etcd has 1 to 2.
        election_timeout_min: election * 3 / 8,
        election_timeout_max: election * 3 / 4,
        install_snapshot_timeout: u64::try_from(SNAPSHOT_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
        max_payload_entries: 4096,
        replication_lag_threshold: 2 * (snapshot_entries + keep),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_entries),
        max_in_snapshot_log_to_keep: keep,
        purge_batch_size: 1024.min(keep.max(1)),
        enable_pre_vote: Some(config.pre_vote),
        // A restarted leader must be elected again: its state machine may be older than its log.
        enable_leader_restore: Some(false),
        quorum_loss_probe_interval: Some(4 * election),
        ..Default::default()
    };
    raft.validate()
        .map_err(|e| StartError::Config(e.to_string()))
}

async fn start_inner<E: Env>(
    env: E,
    config: NodeConfig,
) -> Result<(Arc<Inner<E>>, Vec<ShardSeed>), StartError> {
    let (stop, _) = watch::channel(None);
    let raft_config = Arc::new(raft_config(&config)?);
    let config = Arc::new(config);
    let storage = open_when_there_is_room(&env, &config, &stop).await?;
    let Storage {
        identity,
        damage,
        wal,
        log_store,
        dir,
        opened,
        volumes,
    } = storage;
    let metrics = Arc::new(Metrics::default());
    let Opened {
        engine,
        mvcc,
        lessor,
        members,
        alarms,
        applied,
    } = opened;
    let (hub, seeds) = Hub::new(
        config.watch_shards,
        mvcc.revision(),
        HubOptions {
            max_request_bytes: config.max_request_bytes,
            ..HubOptions::default()
        },
    );
    hub.set_compacted(mvcc.compacted());
    let reclaimer = Reclaimer::new(&engine);
    let learner = members
        .membership()
        .get_node(&identity.member_id)
        .is_some_and(|node| node.learner);
    let shared = Arc::new(Shared {
        member_id: identity.member_id,
        reader: ArcSwap::from_pointee(mvcc.reader()),
        engine: ArcSwap::new(engine),
        members: ArcSwap::from_pointee(members),
        alarms: ArcSwap::from_pointee(alarms),
        space: Space::new(config.quota_bytes, volumes.smallest(&env)),
        lessor: Mutex::new(lessor),
        // Old commands that are applied again after a restart must not meet new waiters.
        waiters: Waiters::new(env.random() >> 1),
        hub,
        reclaimer,
        snapshot: Arc::default(),
        applied: watch::channel(applied.map_or(0, |id| id.index)).0,
        learner: AtomicBool::new(learner),
        metrics,
        damage: Arc::clone(&damage),
        started: Instant::now(),
        min_lease_ttl: config.min_lease_ttl(),
    });
    let known = known_peers(&env, &config, &damage, &shared.members.load())?;
    watch_engine(&**shared.engine.load(), &damage);
    let greeter = Arc::new(Greeter {
        identity,
        known,
        shared: Arc::clone(&shared),
    });
    let (refusals, refused) = mpsc::channel(16);
    let links = Arc::new(Links {
        greeter: Arc::clone(&greeter),
        env: env.clone(),
        bootstrap: config
            .initial_members
            .iter()
            .map(|m| (m.id, m.peer_urls.clone()))
            .collect(),
        refusals,
        links: Mutex::new(HashMap::new()),
    });
    let fresh = applied.is_none() && wal.state().last.is_none();
    // A repaired member was let in under another incarnation; peers that have not heard yet will.
    let founding = fresh && identity.serves_from == 0;
    if founding {
        refuse_if_bootstrapped(&config, &links, identity.member_id).await?;
    }
    let machine = StateMachine::new(
        env.clone(),
        Arc::clone(&shared),
        (mvcc, applied),
        Arc::clone(&dir),
    );
    let election = Duration::from_millis(config.election_ms);
    let suspect = Arc::new(Notify::new());
    let network = Network {
        links: Arc::clone(&links),
        append_timeout: 2 * election,
        vote_timeout: election,
        suspect: Arc::clone(&suspect),
    };
    let raft = Raft::<E>::new(identity.member_id, raft_config, network, log_store, machine)
        .await
        .map_err(|e| match damage.is_reported() {
            true => StartError::Damaged(e.to_string()),
            false => StartError::Raft(e.to_string()),
        })?;
    let inner = Arc::new(Inner {
        env,
        name: config.name.clone(),
        advertise_client_urls: config.advertise_client_urls.clone(),
        cluster_token: config.cluster_token.clone(),
        max_learners: config.max_learners,
        request_timeout: config.request_timeout(),
        election_ms: config.election_ms,
        max_command_bytes: config.max_request_bytes,
        raft,
        shared,
        greeter,
        links,
        dir,
        wal,
        reads: ReadRounds::default(),
        leader: watch::channel(LeaderInfo::default()).0,
        heard_leader_ms: AtomicU64::new(0),
        changing_members: tokio::sync::Mutex::new(()),
        lease_order: tokio::sync::Mutex::new(()),
        published: watch::channel(false).0,
        compare_interval: config.compare_interval,
        scrub_interval: config.scrub_interval,
        suspect,
        stop,
        closed: AtomicBool::new(false),
    });
    run(&inner, refused)?;
    tokio::spawn(Arc::clone(&inner).run_space_watch(volumes));
    if founding && !config.join_existing {
        found(&inner, &config).await?;
    }
    Ok((inner, seeds))
}

/// Starts the tasks of a member.
fn run<E: Env>(inner: &Arc<Inner<E>>, refused: mpsc::Receiver<Refusal>) -> Result<(), StartError> {
    let listeners = inner.env.listeners();
    for listener in listeners.map_err(|e| StartError::Config(format!("peer listener: {e}")))? {
        tokio::spawn(serve(listener, Arc::clone(inner)));
    }
    tokio::spawn({
        let inner = Arc::clone(inner);
        async move { inner.shared.reclaimer.run(&inner.env, &inner.shared).await }
    });
    tokio::spawn(Arc::clone(inner).run_read_rounds());
    tokio::spawn(Arc::clone(inner).run_leader_watch());
    tokio::spawn(Arc::clone(inner).run_stall_watch());
    tokio::spawn(Arc::clone(inner).run_disk_watch());
    tokio::spawn(Arc::clone(inner).run_removal_watch());
    tokio::spawn(Arc::clone(inner).run_leases());
    tokio::spawn(Arc::clone(inner).run_promotions());
    tokio::spawn(Arc::clone(inner).run_refusals(refused));
    tokio::spawn(Arc::clone(inner).run_scrubber());
    tokio::spawn(Arc::clone(inner).run_comparisons());
    tokio::spawn(Arc::clone(inner).publish_attributes());
    Ok(())
}

/// A member without data asks its peers whether they know it with data: then it was wiped and must not
/// vote under its old id. Peers that cannot be reached decide nothing now and refuse later.
async fn refuse_if_bootstrapped<E: Env>(
    config: &NodeConfig,
    links: &Arc<Links<E>>,
    me: u64,
) -> Result<(), StartError> {
    for peer in config.initial_members.iter().filter(|m| m.id != me) {
        let link = links.get(peer.id, Purpose::Control);
        if let Err(e) = link.conn_within(PEER_CONNECT_TIMEOUT).await
            && let Some(Refusal::OtherIncarnation) = e.get_ref().and_then(|e| e.downcast_ref())
        {
            return Err(StartError::AlreadyBootstrapped(me));
        }
    }
    Ok(())
}

/// The first configuration; every founding member writes the same.
async fn found<E: Env>(inner: &Inner<E>, config: &NodeConfig) -> Result<(), StartError> {
    let members: BTreeMap<u64, PeerNode> = config
        .initial_members
        .iter()
        .map(|m| {
            (
                m.id,
                PeerNode {
                    peer_urls: m.peer_urls.clone(),
                    learner: false,
                },
            )
        })
        .collect();
    match inner.raft.initialize(members).await {
        Ok(()) => Ok(()),
        // A peer was faster and has sent its log already.
        Err(openraft::errors::RaftError::APIError(
            openraft::errors::InitializeError::NotAllowed(_),
        )) => Ok(()),
        Err(e) => Err(StartError::Raft(e.to_string())),
    }
}

impl<E: Env> Inner<E> {
    /// A peer said that this member cannot go on.
    async fn run_refusals(self: Arc<Self>, mut refused: mpsc::Receiver<Refusal>) {
        while let Some(refusal) = refused.recv().await {
            match refusal {
                Refusal::Removed => self.stop_with(StopReason::Removed),
                // Not every peer has applied yet that this member is back with another one.
                Refusal::OtherIncarnation if self.is_newly_back() => {
                    tracing::info!("a peer does not know yet that this member is repaired");
                }
                Refusal::OtherIncarnation => self.stop_with(StopReason::Fatal(
                    StartError::AlreadyBootstrapped(self.member_id()).to_string(),
                )),
                Refusal::OtherCluster | Refusal::OtherMember => {
                    tracing::warn!(
                        "a peer belongs to another cluster or has another id: {refusal:?}"
                    );
                }
            }
        }
    }

    /// Tells the cluster this member's name and client URLs until it is known, then waits for the vote.
    async fn publish_attributes(self: Arc<Self>) {
        let id = self.member_id();
        let wanted = Attributes {
            name: self.name.clone(),
            client_urls: self.advertise_client_urls.clone(),
            incarnation: self.greeter.identity.incarnation,
        };
        while self.shared.members.load().attributes.get(&id) != Some(&wanted) {
            if self.shared.members.load().contains(id) {
                let Attributes {
                    name,
                    client_urls,
                    incarnation,
                } = wanted.clone();
                let command = Command::Attributes {
                    id,
                    name,
                    client_urls,
                    incarnation,
                };
                if let Err(e) = self.propose(&command).await {
                    tracing::debug!("publishing this member's attributes: {e}");
                }
            }
            sleep(PUBLISH_PAUSE).await;
        }
        tracing::info!("published name {} and client URLs", self.name);
        // Whoever is told that this member is ready may end another one, and counts on this one's vote.
        while self.awaits_vote() {
            sleep(PUBLISH_PAUSE).await;
        }
        self.published.send_replace(true);
    }
}
