//! The file of `--config`: a KubeSchedulerConfiguration.
//!
//! What is not supported yet is an error that names it, not ignored: a cluster must not be scheduled by other rules
//! than those somebody wrote down.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("{0}: {1}")]
    Parse(PathBuf, serde_yaml_ng::Error),
    #[error("{0}: {1} is not supported")]
    Unsupported(PathBuf, String),
}

/// The fields that are supported.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    api_version: String,
    kind: String,
    pub client_connection: Connection,
    pub leader_election: LeaderElection,
    profiles: Vec<Profile>,
    /// Accepted: one thread is enough.
    #[serde(rename = "parallelism")]
    _parallelism: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Connection {
    pub kubeconfig: Option<PathBuf>,
    /// Accepted: requests are limited by their number at a time.
    #[serde(rename = "qps")]
    _qps: Option<f64>,
    #[serde(rename = "burst")]
    _burst: Option<i64>,
}

/// Durations as Go writes them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LeaderElection {
    pub leader_elect: Option<bool>,
    pub lease_duration: Option<String>,
    pub renew_deadline: Option<String>,
    pub retry_period: Option<String>,
    pub resource_name: Option<String>,
    pub resource_namespace: Option<String>,
    #[serde(rename = "resourceLock")]
    resource_lock: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Profile {
    scheduler_name: Option<String>,
}

impl Config {
    /// # Errors
    /// The file cannot be read, is no such configuration, or asks for what is not supported.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read(path.to_owned(), error))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_yaml_ng::from_str(text)
            .map_err(|error| ConfigError::Parse(path.to_owned(), error))?;
        let not = |what: &str| Err(ConfigError::Unsupported(path.to_owned(), what.to_owned()));
        if config.api_version != "kubescheduler.config.k8s.io/v1" {
            return not(&format!("apiVersion {:?}", config.api_version));
        }
        if config.kind != "KubeSchedulerConfiguration" {
            return not(&format!("kind {:?}", config.kind));
        }
        if config.profiles.len() > 1 {
            return not("more than one profile");
        }
        match config.leader_election.resource_lock.as_deref() {
            None | Some("leases") => Ok(config),
            Some(other) => not(&format!("resourceLock {other:?}")),
        }
    }

    /// The name of the one profile.
    #[must_use]
    pub fn scheduler_name(&self) -> Option<&str> {
        self.profiles.first()?.scheduler_name.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &str) -> Result<Config, String> {
        let head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
        Config::parse(Path::new("f"), &format!("{head}{more}")).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_supported_is_read_and_all_else_refused() {
        let config = parse(
            "clientConnection: {kubeconfig: /k}\nleaderElection: {leaderElect: false, leaseDuration: 9s}\n\
             profiles: [{schedulerName: mine}]\nparallelism: 16\n",
        )
        .expect("it is supported");
        assert_eq!(config.scheduler_name(), Some("mine"));
        assert_eq!(config.leader_election.leader_elect, Some(false));
        assert_eq!(
            config.client_connection.kubeconfig,
            Some(PathBuf::from("/k"))
        );
        for (more, says) in [
            ("extenders: [{urlPrefix: x}]", "extenders"),
            (
                "profiles: [{}, {}]",
                "more than one profile is not supported",
            ),
            ("profiles: [{plugins: {}}]", "plugins"),
            ("leaderElection: {resourceLock: endpoints}", "resourceLock"),
        ] {
            let error = parse(more).expect_err("it is not supported");
            assert!(error.contains(says), "{error}");
        }
        let old = Config::parse(Path::new("f"), "apiVersion: v1\nkind: Pod\n");
        assert!(old.is_err());
    }
}
