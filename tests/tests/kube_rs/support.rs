//! Clients of a server, and short ways to make objects and to read refusals.

use std::fmt::Debug;
use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use mainstay_tests::Cluster;
use mainstay_tests::apiserver::Apiserver;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A store with one server, and its administrator.
pub(crate) struct Served {
    pub(crate) client: Client,
    pub(crate) server: Apiserver,
    pub(crate) cluster: Cluster,
}

pub(crate) async fn serve() -> Served {
    let cluster = Cluster::start(1).await;
    let server = Apiserver::start(&cluster, None).await;
    Served {
        client: client(&server.kubeconfig()).await,
        server,
        cluster,
    }
}

pub(crate) async fn client(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await;
    let mut config = config.unwrap();
    // 429, 503 and 504 are asked again for minutes otherwise, and tests want to see them.
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

/// An object of a type from its manifest.
pub(crate) fn object<K: DeserializeOwned>(manifest: Value) -> K {
    serde_json::from_value(manifest).unwrap()
}

/// Code and reason of a refusal.
#[track_caller]
pub(crate) fn refusal<T: Debug>(answer: kube::Result<T>) -> (u16, String) {
    match answer {
        Err(kube::Error::Api(status)) => (status.code, status.reason),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// [`refusal`] to compare with.
pub(crate) fn refused(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}
