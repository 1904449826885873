//! One check.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use mainstay_cri::{ExecSyncRequest, Runtime, Trouble};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::grpc::serves;
use super::http::{Fetch, fetch, port};
use crate::limits::PROBE_OUTPUT_CHARS_MAX;

/// Whom to check.
#[derive(Clone, Debug)]
pub struct Target {
    pub runtime: Runtime,
    /// The container's id.
    pub id: String,
    pub container: Container,
    /// The pod's address; empty while it has none.
    pub address: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// With what was seen.
    Failure(String),
    /// The check could not be made.
    Error(String),
}

/// Checks once.
pub async fn check(target: &Target, probe: &Probe) -> Outcome {
    let seconds = probe.timeout_seconds.unwrap_or(1).max(1);
    let patience = Duration::from_secs(u64::try_from(seconds).unwrap_or(1));
    let container = &target.container;
    if let Some(action) = &probe.exec {
        let command = action.command.clone().unwrap_or_default();
        return exec(target, command, i64::from(seconds), patience).await;
    }
    if let Some(action) = &probe.http_get {
        return match Fetch::of(action, container, &target.address) {
            Ok(request) => answered(fetch(&request, patience).await),
            Err(error) => Outcome::Error(error),
        };
    }
    if let Some(action) = &probe.tcp_socket {
        let host = action.host.as_deref().filter(|host| !host.is_empty());
        let host = host.unwrap_or(&target.address);
        return match port(&action.port, container) {
            Ok(port) => connects(host, port, patience).await,
            Err(error) => Outcome::Error(error),
        };
    }
    if let Some(action) = &probe.grpc {
        let Ok(port) = u16::try_from(action.port) else {
            return Outcome::Error(format!("{} is no port", action.port));
        };
        let service = action.service.as_deref().unwrap_or_default();
        return match serves(&target.address, port, service, patience).await {
            Ok(()) => Outcome::Success,
            Err(seen) => Outcome::Failure(seen),
        };
    }
    Outcome::Error("missing probe handler".to_owned())
}

async fn exec(target: &Target, command: Vec<String>, seconds: i64, patience: Duration) -> Outcome {
    let request = ExecSyncRequest {
        container_id: target.id.clone(),
        cmd: command,
        timeout: seconds,
    };
    // The runtime gives up first, and ends the process.
    let patience = patience + crate::limits::EXEC_MARGIN;
    match target.runtime.call_within(request, patience).await {
        Ok(answer) if answer.exit_code == 0 => Outcome::Success,
        Ok(answer) => {
            let mut output = String::from_utf8_lossy(&answer.stdout).into_owned();
            output.push_str(&String::from_utf8_lossy(&answer.stderr));
            Outcome::Failure(shortened(&output))
        }
        Err(error) if error.trouble == Trouble::Timeout => {
            Outcome::Failure(format!("command timed out after {seconds}s"))
        }
        Err(error) => Outcome::Error(error.message),
    }
}

fn answered(answer: Result<(http::StatusCode, String), String>) -> Outcome {
    match answer {
        Ok((status, _)) if (200..400).contains(&status.as_u16()) => Outcome::Success,
        Ok((status, _)) => Outcome::Failure(format!(
            "HTTP probe failed with statuscode: {}",
            status.as_u16()
        )),
        Err(seen) => Outcome::Failure(seen),
    }
}

async fn connects(host: &str, port: u16, patience: Duration) -> Outcome {
    match timeout(patience, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Outcome::Success,
        Ok(Err(error)) => Outcome::Failure(format!("dial tcp {host}:{port}: {error}")),
        Err(_) => Outcome::Failure(format!("dial tcp {host}:{port}: i/o timeout")),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(PROBE_OUTPUT_CHARS_MAX).collect()
}
