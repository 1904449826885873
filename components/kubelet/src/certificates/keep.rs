//! What a kubelet does about its certificates: gets the first one before it begins, and has new ones in time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use kube::config::Kubeconfig;
use mainstay_client::Access;
use tokio::time::sleep;

use super::bootstrap::{BootstrapError, CLIENT_PREFIX, SERVING_PREFIX, bootstrap, pair_of};
use super::rotation::Rotation;
use super::serving::Serving;
use super::signing::Purpose;
use super::store::PairStore;
use crate::config::CertificateOptions;
use crate::limits::{BOOTSTRAP_ATTEMPTS, CERTIFICATE_PAUSE_MAX, CERTIFICATE_PAUSE_MIN};

/// Sees to it that there is a client certificate, as far as the options say how. The file that always has the newest
/// one, if it is renewed: it counts in place of what the kubeconfig has.
///
/// # Errors
/// If none could be had for about a quarter of an hour, or longer if requests were left lying.
pub async fn obtain(
    options: &CertificateOptions,
    kubeconfig: &Path,
    node: &str,
) -> Result<Option<PathBuf>, BootstrapError> {
    if let Some(path) = &options.bootstrap {
        let mut pause = CERTIFICATE_PAUSE_MIN;
        for left in (0..BOOTSTRAP_ATTEMPTS).rev() {
            match bootstrap(path, kubeconfig, &options.folder, node).await {
                Ok(()) => break,
                Err(error) if left == 0 => return Err(error),
                Err(error) => tracing::warn!(node, left, "no client certificate yet: {error}"),
            }
            sleep(pause.mul_f64(1.0 + 0.1 * rand::random::<f64>())).await;
            pause = (pause * 2).min(CERTIFICATE_PAUSE_MAX);
        }
    }
    if !options.rotate {
        return Ok(None);
    }
    let store = PairStore::new(&options.folder, CLIENT_PREFIX);
    if take_over(&store, kubeconfig, node)? {
        return Ok(Some(store.current_path()));
    }
    Ok(None)
}

/// Whether there is a certificate to be renewed: a valid one that is kept, else the kubeconfig's, which is kept from
/// now on, else one that is kept and has ended.
fn take_over(store: &PairStore, kubeconfig: &Path, node: &str) -> Result<bool, BootstrapError> {
    let now = Timestamp::now();
    let kept = store.current();
    if kept
        .as_ref()
        .is_some_and(|pair| pair.is_valid(now) && Purpose::Client.is_met_by(pair, node))
    {
        return Ok(true);
    }
    let given = pair_of(&Kubeconfig::read_from(kubeconfig)?).flatten();
    let Some(given) = given.filter(|pair| pair.is_valid(now)) else {
        return Ok(kept.is_some());
    };
    if !Purpose::Client.is_met_by(&given, node) {
        // An administrator's, say: it stays as it is, and the node gets its own beside it.
        tracing::warn!(
            name = given.name,
            "the kubeconfig has another one's certificate"
        );
        return Ok(false);
    }
    let kept = store.update(&given);
    kept.map_err(|error| BootstrapError::File {
        path: store.current_path().display().to_string(),
        why: error.to_string(),
    })?;
    Ok(true)
}

/// With what certificates are kept new.
pub struct Keeping {
    pub options: CertificateOptions,
    pub access: Access,
    pub client: Client,
    pub node: String,
    /// Names and addresses at which the node serves.
    pub hosts: Vec<String>,
    /// Shown by the node's server; nobody is told of it unless the cluster signs it.
    pub serving: Arc<Serving>,
}

impl fmt::Debug for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeping")
            .field("options", &self.options)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// Renews certificates until it is dropped.
pub async fn keep(keeping: Keeping) {
    tokio::join!(keep_client(&keeping), keep_serving(&keeping));
}

async fn keep_client(keeping: &Keeping) {
    if !keeping.options.rotate {
        return std::future::pending().await;
    }
    let rotation = Rotation::new(
        keeping.client.clone(),
        &keeping.node,
        Purpose::Client,
        PairStore::new(&keeping.options.folder, CLIENT_PREFIX),
    );
    let rotation = rotation.with_bootstrap(keeping.options.bootstrap.as_deref());
    let mut pairs = rotation.current();
    let used = async {
        while pairs.changed().await.is_ok() {
            keeping.access.look().await;
        }
    };
    tokio::join!(rotation.run(), used);
}

async fn keep_serving(keeping: &Keeping) {
    if !keeping.options.rotate_serving {
        return std::future::pending().await;
    }
    let rotation = Rotation::new(
        keeping.client.clone(),
        &keeping.node,
        Purpose::Serving(keeping.hosts.clone()),
        PairStore::new(&keeping.options.folder, SERVING_PREFIX),
    );
    let shown = Arc::clone(&keeping.serving).follow(rotation.current());
    tokio::join!(rotation.run(), shown);
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::super::pair::{Pair, tests::made};
    use super::*;

    const CENTURY: i64 = 100 * 365 * 24 * 3600;

    fn kubeconfig(folder: &Path, name: &str, seconds: i64) -> PathBuf {
        let (chain, key) = made(name, seconds);
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: k, user: u}}}}], \
             users: [{{name: u, user: {{client-certificate-data: {}, client-key-data: {}}}}}]}}",
            STANDARD.encode(chain),
            STANDARD.encode(key)
        );
        let path = folder.join("kubeconfig");
        std::fs::write(&path, text).expect("written");
        path
    }

    #[tokio::test]
    async fn the_certificate_of_a_kubeconfig_is_taken_over_to_be_renewed() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let options = |rotate| CertificateOptions {
            bootstrap: None,
            folder: folder.path().join("pki"),
            rotate,
            rotate_serving: false,
        };
        let store = PairStore::new(&options(true).folder, CLIENT_PREFIX);
        let path = kubeconfig(folder.path(), "system:node:n", CENTURY);
        let obtained = async |rotate| {
            let obtained = obtain(&options(rotate), &path, "n").await;
            obtained.expect("nothing is asked for")
        };
        assert_eq!(obtained(false).await, None);
        assert!(store.current().is_none());
        assert_eq!(obtained(true).await, Some(store.current_path()));
        let first = store.current().expect("taken over").text();
        // What is kept and valid counts before what the kubeconfig has.
        kubeconfig(folder.path(), "system:node:n", CENTURY);
        assert_eq!(obtained(true).await, Some(store.current_path()));
        assert_eq!(store.current().expect("there").text(), first);
        // One that has ended does not.
        let (chain, key) = made("system:node:n", 1000);
        let ended = Pair::read(&chain, &key).expect("a pair");
        store.update(&ended).expect("kept");
        assert_eq!(obtained(true).await, Some(store.current_path()));
        assert_ne!(store.current().expect("there").text(), ended.text());
        // Another one's is left alone.
        store.update(&ended).expect("kept");
        kubeconfig(folder.path(), "admin", CENTURY);
        assert_eq!(obtained(true).await, None);
    }
}
