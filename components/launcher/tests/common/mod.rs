//! What tests of whole clusters share.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::path::PathBuf;
use std::process::{Command, Output};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Brought down at the end, whatever happens.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn mainstay(&self, arguments: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_mainstay"))
            .arg("--dir")
            .arg(self.path())
            .args(arguments)
            .output();
        output.expect("the program is there")
    }

    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.mainstay(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {out}\n{err}");
        out
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) async fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client().await, "default")
    }

    pub(crate) async fn client(&self) -> Client {
        let config = Kubeconfig::read_from(self.path().join("admin.kubeconfig"));
        let config = config.expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(config, &options).await;
        Client::try_from(config.expect("it can be used")).expect("a client")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nothing is there to stop after the test's own down.
        let _ = self.mainstay(&["down", "--delete"]);
    }
}

/// Says what a machine lacks for this.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("root".to_owned());
    }
    let doctor = Command::new(env!("CARGO_BIN_EXE_mainstay"))
        .arg("doctor")
        .output();
    let doctor = doctor.expect("the program is there");
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    let line = said.lines().find(|line| line.starts_with("MISSING"));
    line.map(str::to_owned)
}
