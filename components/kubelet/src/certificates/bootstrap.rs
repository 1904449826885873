//! A node's first certificate, by a token that many nodes share.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::Client;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster,
    NamedContext,
};

use super::pair::Pair;
use super::rotation::{Rotation, RotationError};
use super::signing::Purpose;
use super::store::{PairStore, write_secret};

/// Why a node has no credentials.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error("bootstrap kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error("bootstrap kubeconfig: {0}")]
    Incomplete(&'static str),
    #[error("bootstrap client: {0}")]
    Client(#[from] kube::Error),
    #[error(transparent)]
    Rotation(#[from] RotationError),
    #[error("{path}: {why}")]
    File { path: String, why: String },
}

/// Name of the files of a node's client certificates.
pub const CLIENT_PREFIX: &str = "kubelet-client";
/// Name of the files of its serving certificates.
pub const SERVING_PREFIX: &str = "kubelet-server";

/// Sees to it that there is a kubeconfig with a certificate of this node: that which is there, or a new one that is
/// asked for with `bootstrap`'s credentials and named by the kubeconfig that is written.
///
/// # Errors
/// If there is none and none can be had; it can be called again.
pub async fn bootstrap(
    bootstrap: &Path,
    kubeconfig: &Path,
    certificates: &Path,
    node: &str,
) -> Result<(), BootstrapError> {
    let store = PairStore::new(certificates, CLIENT_PREFIX);
    if kubeconfig.exists() && is_usable(kubeconfig) {
        return Ok(());
    }
    let file = Kubeconfig::read_from(bootstrap)?;
    let cluster =
        cluster_of(&file).ok_or(BootstrapError::Incomplete("there is no cluster in it"))?;
    // A certificate that is good and a kubeconfig that is not there: the last attempt ended in between.
    let known = store.current();
    let good = known.is_some_and(|pair| {
        pair.is_valid(Timestamp::now()) && Purpose::Client.is_met_by(&pair, node)
    });
    if !good {
        tracing::info!(node, "asking for a client certificate");
        let client = client(file).await?;
        Rotation::new(client, node, Purpose::Client, store.clone())
            .renew()
            .await?;
    }
    let text = written(cluster, &store.current_path());
    let wrong = |why: String| BootstrapError::File {
        path: kubeconfig.display().to_string(),
        why,
    };
    let text = serde_yaml_ng::to_string(&text).map_err(|error| wrong(error.to_string()))?;
    write_secret(kubeconfig, &text).map_err(|error| wrong(error.to_string()))
}

/// Asks with what a kubeconfig has.
pub(super) async fn client(file: Kubeconfig) -> Result<Client, BootstrapError> {
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(file, &options).await?;
    // Whoever asks tries again by itself.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Whether the kubeconfig can be read and its client certificate, if it has one, is valid.
fn is_usable(path: &Path) -> bool {
    let Ok(file) = Kubeconfig::read_from(path) else {
        return false;
    };
    match pair_of(&file) {
        None => true,
        Some(pair) => {
            let valid = pair
                .as_ref()
                .is_some_and(|pair| pair.is_valid(Timestamp::now()));
            if !valid {
                let ends = pair.map(|pair| pair.ends.to_string());
                let ends = ends.unwrap_or_else(|| "which cannot be read".to_owned());
                tracing::warn!(kubeconfig = %path.display(), ends, "the client certificate is not valid");
            }
            valid
        }
    }
}

/// The client certificate of the user of the current context: `None` if there is none, `Some(None)` if it is no good.
pub(super) fn pair_of(file: &Kubeconfig) -> Option<Option<Pair>> {
    let context = file.current_context.as_ref();
    let context = file.contexts.iter().find(|one| Some(&one.name) == context);
    let name = context.and_then(|one| one.context.as_ref())?.user.as_ref();
    let mut users = file.auth_infos.iter();
    let user = users.find(|one| Some(&one.name) == name)?;
    let user = serde_json::to_value(user.auth_info.as_ref()?).ok()?;
    let given = |name: &str| user.get(name).and_then(|value| value.as_str());
    let text = |name: &str| match given(&format!("{name}-data")) {
        Some(data) => Some(STANDARD.decode(data).unwrap_or_default()),
        None => given(name).map(|path| std::fs::read(path).unwrap_or_default()),
    };
    let (chain, key) = (text("client-certificate")?, text("client-key")?);
    let [chain, key] = [chain, key].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Some(Pair::read(&chain, &key).ok())
}

/// That of the current context, or the only one.
fn cluster_of(file: &Kubeconfig) -> Option<Cluster> {
    let context = file.current_context.as_ref();
    let context = file.contexts.iter().find(|one| Some(&one.name) == context);
    let name = context
        .and_then(|one| one.context.as_ref())
        .map(|one| &one.cluster);
    let mut clusters = file.clusters.iter();
    let cluster = match name {
        Some(name) => clusters.find(|one| one.name == *name),
        None => clusters.next(),
    };
    cluster?.cluster.clone()
}

fn written(cluster: Cluster, certificate: &Path) -> Kubeconfig {
    let path = Some(certificate.display().to_string());
    Kubeconfig {
        clusters: vec![NamedCluster {
            name: "default-cluster".to_owned(),
            cluster: Some(cluster),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: "default-auth".to_owned(),
            auth_info: Some(AuthInfo {
                client_certificate: path.clone(),
                client_key: path,
                ..AuthInfo::default()
            }),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: "default-context".to_owned(),
            context: Some(Context {
                cluster: "default-cluster".to_owned(),
                user: Some("default-auth".to_owned()),
                namespace: Some("default".to_owned()),
                ..Context::default()
            }),
            ..NamedContext::default()
        }],
        current_context: Some("default-context".to_owned()),
        ..Kubeconfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::pair::tests::made;
    use super::*;

    fn file(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    #[tokio::test]
    async fn an_attempt_that_ended_before_its_kubeconfig_is_gone_on_with() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let token = file(
            folder.path(),
            "bootstrap",
            "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], \
             clusters: [{name: k, cluster: {server: 'https://192.0.2.1:6443'}}], users: [{name: u, user: {token: t}}]}",
        );
        let kubeconfig = folder.path().join("kubeconfig");
        let pki = folder.path().join("pki");
        // A hundred years, of which some have passed.
        let (chain, key) = made("system:node:n", 100 * 365 * 24 * 3600);
        let store = PairStore::new(&pki, CLIENT_PREFIX);
        store
            .update(&Pair::read(&chain, &key).expect("a pair"))
            .expect("stored");
        // Nobody is asked: there is nobody at that address.
        bootstrap(&token, &kubeconfig, &pki, "n")
            .await
            .expect("written");
        let read = Kubeconfig::read_from(&kubeconfig).expect("readable");
        let cluster = cluster_of(&read).expect("there");
        assert_eq!(cluster.server.as_deref(), Some("https://192.0.2.1:6443"));
        let user = read.auth_infos[0].auth_info.clone().expect("there");
        let path = store.current_path().display().to_string();
        assert_eq!(user.client_certificate.as_deref(), Some(path.as_str()));
        assert!(is_usable(&kubeconfig));
        // It has run out.
        let (chain, key) = made("system:node:n", 1000);
        store
            .update(&Pair::read(&chain, &key).expect("a pair"))
            .expect("stored");
        assert!(!is_usable(&kubeconfig));
    }

    #[test]
    fn a_certificate_within_a_kubeconfig_is_looked_at_as_well() {
        let folder = tempfile::TempDir::new().expect("a folder");
        for (seconds, usable) in [(100 * 365 * 24 * 3600, true), (1000, false)] {
            let (chain, key) = made("system:node:n", seconds);
            let text = format!(
                "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: k, user: u}}}}], \
                 users: [{{name: u, user: {{client-certificate-data: {}, client-key-data: {}}}}}]}}",
                STANDARD.encode(chain),
                STANDARD.encode(key)
            );
            let path = file(folder.path(), "kubeconfig", &text);
            assert_eq!(is_usable(&path), usable, "{seconds}");
        }
        let text = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], \
                    users: [{name: u, user: {token: t}}]}";
        assert!(is_usable(&file(folder.path(), "kubeconfig", text)));
        assert!(!is_usable(&file(folder.path(), "kubeconfig", "none: [")));
    }
}
