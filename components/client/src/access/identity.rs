//! Who a process is to the apiserver, and whom it trusts: by files that may change while it runs.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use kube::Config;
use kube::client::ConfigExt as _;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Mutex, Notify};
use tokio::time::sleep;

use super::open::{AccessError, AccessOptions};
use crate::limits::CREDENTIAL_FILE_BYTES_MAX;

/// Where credentials come from.
#[derive(Debug)]
enum Source {
    Kubeconfig(Box<Kubeconfig>),
    /// Nothing but an address.
    Url(http::Uri),
    Pod,
}

/// The credentials that count now, and those that come to count.
pub(crate) struct Identity {
    source: Source,
    /// In place of the certificate that the kubeconfig has.
    certificate: Option<PathBuf>,
    current: ArcSwap<Credentials>,
    /// One look at a time.
    looking: Mutex<()>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// Credentials as they were read once.
pub(crate) struct Credentials {
    pub(crate) config: Config,
    /// Counted from 0.
    pub(crate) number: u64,
    is_retired: AtomicBool,
    retired: Arc<Notify>,
    /// Of the files they were read from.
    sum: u64,
}

impl Credentials {
    fn new(config: Config, number: u64, sum: u64) -> Self {
        Self {
            config,
            number,
            is_retired: AtomicBool::new(false),
            retired: Arc::default(),
            sum,
        }
    }

    /// The same without a certificate or a token.
    pub(crate) fn anonymous(&self) -> Config {
        let mut config = self.config.clone();
        config.auth_info = AuthInfo::default();
        config
    }

    fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
        self.retired.notify_waiters();
    }

    /// Comes to its end when others count; `None` if they do already.
    pub(crate) fn retired(&self) -> Option<OwnedNotified> {
        // Before the look: who is told in between is not missed.
        let retired = Arc::clone(&self.retired).notified_owned();
        (!self.is_retired.load(Ordering::Acquire)).then_some(retired)
    }
}

impl Identity {
    /// Reads all files.
    pub(crate) async fn of(options: &AccessOptions) -> Result<Self, AccessError> {
        let source = match (&options.kubeconfig, options.masters.first()) {
            (Some(path), _) => Source::Kubeconfig(Box::new(Kubeconfig::read_from(path)?)),
            (None, Some(master)) => Source::Url(master.clone()),
            (None, None) => Source::Pod,
        };
        let certificate = options.certificate.clone();
        // The sum first: what changes in between is read again.
        let sum = sum(&files(&source, certificate.as_deref()));
        let config = config(&source, certificate.as_deref()).await?;
        Ok(Self {
            source,
            certificate,
            current: ArcSwap::from_pointee(Credentials::new(config, 0, sum)),
            looking: Mutex::default(),
        })
    }

    pub(crate) fn current(&self) -> Arc<Credentials> {
        self.current.load_full()
    }

    /// Reads the files again if they have changed. Says whether other credentials count now.
    pub(super) async fn look(&self) -> Result<bool, AccessError> {
        let _looking = self.looking.lock().await;
        let before = self.current();
        let sum = sum(&files(&self.source, self.certificate.as_deref()));
        if sum == before.sum {
            return Ok(false);
        }
        let config = config(&self.source, self.certificate.as_deref()).await?;
        // A certificate that was exchanged and a key that was not yet are no pair.
        config.rustls_client_config()?;
        let next = Credentials::new(config, before.number + 1, sum);
        self.current.store(Arc::new(next));
        before.retire();
        Ok(true)
    }

    /// Looks at the files this often, until nobody needs the credentials any more.
    pub(crate) async fn follow(identity: Weak<Self>, every: Duration) {
        let mut told = false;
        loop {
            sleep(every).await;
            let Some(identity) = identity.upgrade() else {
                return;
            };
            match identity.look().await {
                Ok(false) => {}
                Ok(true) => {
                    told = false;
                    tracing::info!("credentials have changed: connections are made anew");
                }
                // Most likely they are just being written.
                Err(error) if told => tracing::debug!("changed credentials: {error}"),
                Err(error) => {
                    told = true;
                    tracing::warn!("changed credentials cannot be used: {error}");
                }
            }
        }
    }

    /// Whether there is a file that may change. Those of a pod, and files with tokens, are read again by kube.
    pub(crate) fn has_files(&self) -> bool {
        !files(&self.source, self.certificate.as_deref()).is_empty()
    }
}

async fn config(source: &Source, certificate: Option<&Path>) -> Result<Config, AccessError> {
    let mut config = match source {
        Source::Kubeconfig(kubeconfig) => {
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(kubeconfig.as_ref().clone(), &options).await?
        }
        Source::Url(url) => Config::new(url.clone()),
        Source::Pod => Config::incluster()?,
    };
    if let Some(path) = certificate {
        let path = Some(path.display().to_string());
        let user = &mut config.auth_info;
        user.client_certificate_data = None;
        user.client_key_data = None;
        user.client_certificate.clone_from(&path);
        user.client_key = path;
    }
    config.default_retry = false;
    Ok(config)
}

fn files(source: &Source, certificate: Option<&Path>) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = certificate.into_iter().map(Path::to_owned).collect();
    let Source::Kubeconfig(kubeconfig) = source else {
        return all;
    };
    let clusters = kubeconfig.clusters.iter();
    for cluster in clusters.filter_map(|named| named.cluster.as_ref()) {
        all.extend(cluster.certificate_authority.as_ref().map(PathBuf::from));
    }
    let users = kubeconfig.auth_infos.iter();
    for user in users.filter_map(|named| named.auth_info.as_ref()) {
        let paths = [&user.client_certificate, &user.client_key];
        all.extend(paths.into_iter().flatten().map(PathBuf::from));
    }
    all
}

/// Of what is in the files; one that cannot be read counts as such.
fn sum(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in files {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(CREDENTIAL_FILE_BYTES_MAX).read_to_end(&mut bytes));
        read.is_ok().hash(&mut hasher);
        bytes.hash(&mut hasher);
    }
    hasher.finish()
}
