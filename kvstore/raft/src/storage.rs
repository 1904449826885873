//! Opening what a member has on disk, and judging it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mainstay_engine::Engine;
use mainstay_wal::{Verdict, Wal, WalError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::config::NodeConfig;
use crate::env::Env;
use crate::error::{StartError, StopReason};
use crate::full::{engine_error, is_full};
use crate::identity::{self, Identity, KnownPeers};
use crate::log_store::LogStore;
use crate::members::Members;
use crate::records::Opened;
use crate::repair::{Damage, History, Kind, Progress, is_damage};
use crate::space_watch::{Volumes, folders};
use crate::state_dir::StateDir;

/// Between two attempts to open the data on a full disk, and between two complaints about it.
const ROOM_PAUSE: Duration = Duration::from_millis(500);
const ROOM_NOTICE: Duration = Duration::from_secs(60);

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StartError {
    let path = path.display().to_string();
    move |source| match is_full(&source) {
        true => StartError::Full(format!("{what} {path}: {source}")),
        false => StartError::Io { what, path, source },
    }
}

fn log_error(e: WalError) -> StartError {
    match &e {
        WalError::Io { source, .. } if is_full(source) => StartError::Full(e.to_string()),
        _ => StartError::Wal(e.to_string()),
    }
}

/// What is on disk, opened.
pub(crate) struct Storage<E: Env> {
    pub(crate) identity: Identity,
    pub(crate) damage: Arc<Damage>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) log_store: LogStore,
    pub(crate) dir: Arc<StateDir>,
    pub(crate) opened: Opened<E::Engine>,
    pub(crate) volumes: Volumes,
}

/// On a disk without any room the data cannot be opened yet; whoever frees some need not start this again.
pub(crate) async fn open_when_there_is_room<E: Env>(
    env: &E,
    config: &Arc<NodeConfig>,
    stop: &watch::Sender<Option<StopReason>>,
) -> Result<Storage<E>, StartError> {
    let mut said = None;
    loop {
        let (opening, config, stop) = (env.clone(), Arc::clone(config), stop.clone());
        let storage = env.blocking(move || open_storage(&opening, &config, &stop));
        match storage
            .await
            .map_err(|e| StartError::Storage(e.to_string()))?
        {
            Err(StartError::Full(why)) => {
                if said.is_none_or(|at: Instant| at.elapsed() > ROOM_NOTICE) {
                    said = Some(Instant::now());
                    tracing::warn!("no room to open this member's data, waiting for some: {why}");
                }
                sleep(ROOM_PAUSE).await;
            }
            other => return other,
        }
    }
}

fn open_storage<E: Env>(
    env: &E,
    config: &NodeConfig,
    stop: &watch::Sender<Option<StopReason>>,
) -> Result<Storage<E>, StartError> {
    let (member_dir, wal_dir) = folders(config);
    let disk = env.disk();
    for dir in [&member_dir, &wal_dir] {
        disk.create_dir_all(dir)
            .map_err(io_error("cannot create", dir))?;
    }
    let volumes = Volumes::find(env, &member_dir, &wal_dir)
        .map_err(io_error("cannot look at the room in", &member_dir))?;
    let loaded = identity::load(&**disk, &config.data_dir)
        .map_err(io_error("cannot read identity in", &member_dir))?;
    let identity = match loaded {
        Some(identity) => identity,
        None => {
            let identity = Identity {
                member_id: config.member_id,
                cluster_id: config.cluster_id,
                incarnation: env.random(),
                serves_from: 0,
            };
            identity::store(&**disk, &config.data_dir, &identity)
                .map_err(io_error("cannot write identity in", &member_dir))?;
            identity
        }
    };
    let damage = Arc::new(Damage {
        disk: Arc::clone(disk),
        data_dir: config.data_dir.clone(),
        identity,
        next_incarnation: env.random(),
        stop: stop.clone(),
        reported: AtomicBool::new(false),
    });
    let (wal, log_store) = open_log(env, config, &damage)?;
    let (dir, opened) = open_state(env, config, &damage, &wal)?;
    Ok(Storage {
        identity,
        damage,
        wal,
        log_store,
        dir,
        opened,
        volumes,
    })
}

/// Leaves a note about damage.
fn damaged(damage: &Damage, kind: Kind, what: String) -> StartError {
    damage.report(kind, &what);
    StartError::Damaged(format!("{kind}: {what}"))
}

fn open_log<E: Env>(
    env: &E,
    config: &NodeConfig,
    damage: &Arc<Damage>,
) -> Result<(Arc<Wal>, LogStore), StartError> {
    let (_, wal_dir) = folders(config);
    let wal_options = mainstay_wal::Options {
        no_fsync: config.unsafe_no_fsync,
        ..Default::default()
    };
    let on_fatal = {
        let stop = damage.stop.clone();
        Box::new(move |e: &mainstay_wal::WalError| {
            stop.send_replace(Some(StopReason::Fatal(format!("log: {e}"))));
        })
    };
    let (wal, recovered) = env
        .open_log(&wal_dir, wal_options, on_fatal)
        .map_err(log_error)?;
    match &recovered.verdict {
        Verdict::Intact => {}
        Verdict::TornTail { dropped_bytes } => {
            tracing::info!("dropped {dropped_bytes} bytes of a write that was never acknowledged");
        }
        Verdict::Damaged(found) => {
            let what = format!(
                "segment {}, offset {} ({:?}); entries from index {} on may be missing",
                found.segment, found.offset, found.what, found.first_lost_index
            );
            return Err(damaged(damage, Kind::Log, what));
        }
    }
    if recovered.witness_missing {
        let what = "what was durable in the log is not known: the end may be missing";
        return Err(damaged(damage, Kind::Witness, what.into()));
    }
    if recovered.witness_torn {
        tracing::warn!(
            "one of the two records of the log's witness was unreadable; the other told"
        );
        History::count(&*damage.disk, &damage.data_dir, Progress::Rebuilt);
    }
    let wal = Arc::new(wal);
    let store = LogStore::new(
        Arc::clone(&wal),
        recovered.vote,
        recovered.committed,
        Arc::clone(damage),
    );
    match store {
        Ok(store) => Ok((wal, store)),
        Err(e) if is_damage(&e) => Err(damaged(damage, Kind::Log, e.to_string())),
        Err(e) => Err(StartError::Wal(e.to_string())),
    }
}

type State<E> = (Arc<StateDir>, Opened<<E as Env>::Engine>);

fn open_state<E: Env>(
    env: &E,
    config: &NodeConfig,
    damage: &Arc<Damage>,
    wal: &Wal,
) -> Result<State<E>, StartError> {
    let state = config.data_dir.join("member").join("state");
    let failed = |kind: Kind| {
        move |e: io::Error| match is_damage(&e) {
            true => damaged(damage, kind, e.to_string()),
            false if is_full(&e) => StartError::Full(e.to_string()),
            false => StartError::Storage(e.to_string()),
        }
    };
    let dir = StateDir::open(Arc::clone(&damage.disk), state).map_err(failed(Kind::Pointer))?;
    let min_ttl = config.min_lease_ttl();
    let opened = match dir.current().map_err(failed(Kind::Pointer))? {
        Some(path) => env
            .reopen_engine(&path)
            .map_err(engine_error)
            .and_then(|engine| Opened::new(engine, min_ttl))
            .map_err(failed(Kind::Engine))?,
        // Nothing was ever applied, or the log still holds all of it.
        None => {
            if wal.state().last.is_some() {
                tracing::warn!("there is no database: it is made again from the log");
                History::count(&*damage.disk, &damage.data_dir, Progress::Rebuilt);
            }
            let mut folder = dir.new_database().map_err(failed(Kind::Pointer))?;
            let opened = env
                .open_engine(folder.path())
                .map_err(engine_error)
                .and_then(|engine| Opened::new(engine, min_ttl))
                .map_err(failed(Kind::Engine))?;
            dir.install(&mut folder).map_err(failed(Kind::Pointer))?;
            opened
        }
    };
    let applied = opened.applied.map_or(0, |id| id.index);
    let purged = wal.state().purged.map_or(0, |id| id.index);
    if applied < purged {
        let what = format!(
            "the database stands at log index {applied}, and the log begins behind {purged}"
        );
        return Err(damaged(damage, Kind::Engine, what));
    }
    Ok((Arc::new(dir), opened))
}

/// The peers met before; made again from what the cluster knows if the file is damaged and that is enough.
pub(crate) fn known_peers<E: Env>(
    env: &E,
    config: &NodeConfig,
    damage: &Damage,
    members: &Members,
) -> Result<KnownPeers, StartError> {
    let disk = Arc::clone(env.disk());
    let others = members.attributes.len() > 1;
    let e = match KnownPeers::open(Arc::clone(&disk), &config.data_dir) {
        // Whoever is known to the cluster was met.
        Ok(known) if known.is_empty() && others => {
            io::Error::new(io::ErrorKind::InvalidData, "member/peers is missing")
        }
        Ok(known) => return Ok(known),
        Err(e) => e,
    };
    let failed = io_error("cannot read peers in", &config.data_dir);
    if !is_damage(&e) {
        return Err(failed(e));
    }
    let known = members.attributes.iter();
    let known: BTreeMap<u64, u64> = known.map(|(id, a)| (*id, a.incarnation)).collect();
    let mut ids = members.membership().nodes().map(|(id, _)| *id).peekable();
    if ids.peek().is_none() || !ids.all(|id| known.contains_key(&id)) {
        return Err(damaged(
            damage,
            Kind::Identity,
            format!("member/peers: {e}"),
        ));
    }
    tracing::warn!("{e}; it is made again from what the cluster knows of its members");
    History::count(&*disk, &config.data_dir, Progress::Rebuilt);
    KnownPeers::rebuild(disk, &config.data_dir, known).map_err(failed)
}

/// Has an engine report what it finds damaged.
pub(crate) fn watch_engine(engine: &impl Engine, damage: &Arc<Damage>) {
    let damage = Arc::clone(damage);
    engine.on_corruption(Box::new(move |what| damage.report(Kind::Engine, what)));
}
