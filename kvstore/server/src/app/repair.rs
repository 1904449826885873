//! A member whose data is damaged: asks its peers for repair, and tells clients why nothing is served.

use super::found::texts;
use super::restore;
use crate::config::Config;
use crate::limits::REPAIR_PAUSE;
use crate::metrics::Counters;
use crate::os::OsEnv;
use crate::serve::{Bound, Wiring, Workers};
use crate::service::{Notice, StandbyThread};
use mainstay_raft::identity::Identity;
use mainstay_raft::repair::{AskError, Case, Condition, Granted, History, ask, inspect};
use mainstay_raft::{contacts, repair};
use mainstay_wal::OsDisk;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// What the data directory is.
pub(super) fn condition(data_dir: &Path, wal_dir: Option<&Path>) -> Result<Condition, String> {
    inspect(&OsDisk, data_dir, wal_dir, rand::random())
        .map_err(|error| format!("cannot access data directory: {error}"))
}

/// Answers clients while nothing can be served.
#[derive(Debug)]
pub(super) struct Standby {
    workers: Workers,
    notice: Arc<Notice>,
}

impl Standby {
    pub(super) fn start(
        config: &Config,
        listeners: &[Bound],
        wiring: &Wiring,
        why: String,
    ) -> Result<Self, String> {
        let history = History::load(&OsDisk, &config.data_dir);
        let notice = Arc::new(Notice::new(why, history, Counters::new(1)));
        let shared = Arc::clone(&notice);
        let workers = Workers::start(1, wiring, move |_| {
            Rc::new(StandbyThread(Arc::clone(&shared)))
        });
        let mut workers = workers.map_err(|error| format!("cannot start a thread: {error}"))?;
        for listener in listeners {
            let listener = listener.try_clone();
            workers.accept(listener.map_err(|error| format!("cannot listen: {error}"))?);
        }
        Ok(Self { workers, notice })
    }

    pub(super) fn tell(&self, why: String) {
        self.notice.why.send_replace(why);
    }

    pub(super) async fn stop(self) {
        // Joining the thread blocks.
        let _ = tokio::task::spawn_blocking(move || self.workers.stop()).await;
    }
}

/// Repairs the member: returns when its peers are ready to fill it, with its files put away.
pub(super) async fn run(
    config: &Config,
    env: &OsEnv,
    case: &Case,
    standby: &Standby,
) -> Result<Identity, String> {
    tracing::error!(
        kind = case.kind.name(),
        what = case.what,
        "this member's data is damaged; it takes no part in the cluster until its peers have replaced it"
    );
    let granted = until_granted(config, env, case, standby).await;
    let identity = restore::begin_anew(&config.data_dir, config.wal_dir.as_deref(), case, granted)
        .map_err(|error| format!("cannot put damaged files away: {error}"))?;
    tracing::info!(
        member_id = format!("{:x}", identity.member_id),
        serves_from = identity.serves_from,
        "the peers are ready: this member begins anew, and serves once it has caught up"
    );
    Ok(identity)
}

async fn until_granted(config: &Config, env: &OsEnv, case: &Case, standby: &Standby) -> Granted {
    let own = texts(&config.advertise_peer_urls);
    let mut last = String::new();
    loop {
        let mut urls = contacts::load(&OsDisk, &config.data_dir);
        urls.extend(config.initial_cluster.values().flat_map(|urls| texts(urls)));
        urls.dedup();
        let why = match ask(env, case, &urls, &own).await {
            Ok(granted) => return granted,
            Err(why) => explain(case, &why),
        };
        if why != last {
            tracing::warn!("{why}");
            standby.tell(why.clone());
            last = why;
        }
        tokio::time::sleep(REPAIR_PAUSE).await;
    }
}

/// What is wrong, what happens, and what an operator can do.
fn explain(case: &repair::Case, why: &AskError) -> String {
    let damage = format!("data is damaged ({}: {})", case.kind, case.what);
    match why {
        AskError::Alone => format!(
            "{damage} and there are no peers to repair it from: restore the data directory from a backup"
        ),
        AskError::NotAMember => format!(
            "{damage} and the cluster does not count this member: delete the data directory and add the member again"
        ),
        AskError::NotNow(why) => format!(
            "{damage}; repair goes on by itself once a majority of the members is healthy ({why}); \
             if that cannot be, restore the cluster from a backup"
        ),
    }
}
