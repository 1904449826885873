//! What containers do after their start and before their end.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use mainstay_cri::{ExecSyncRequest, Runtime};
use tokio::time::sleep;

use crate::limits::{EXEC_MARGIN, HOOK_HTTP_DEADLINE};
use crate::probes::{Fetch, fetch};

/// Runs a hook of a container of a pod with this address, for as long as `patience`.
///
/// # Errors
/// Why it failed, in upstream's words.
pub(super) async fn run_hook(
    runtime: &Runtime,
    id: &str,
    container: &Container,
    hook: &LifecycleHandler,
    address: &str,
    patience: Duration,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        let words = command.join(" ");
        let request = ExecSyncRequest {
            container_id: id.to_owned(),
            cmd: command,
            timeout: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        };
        let answer = runtime.call_within(request, patience + EXEC_MARGIN).await;
        let answer =
            answer.map_err(|error| format!("Exec lifecycle hook ({words}) failed: {error}"))?;
        if answer.exit_code != 0 {
            let said = String::from_utf8_lossy(&answer.stderr).into_owned();
            let code = answer.exit_code;
            return Err(format!(
                "Exec lifecycle hook ({words}) failed: command exited with {code}: {said}"
            ));
        }
        return Ok(());
    }
    if let Some(action) = &hook.http_get {
        let request = Fetch::of(action, container, address)?;
        let (status, _) = fetch(&request, patience.min(HOOK_HTTP_DEADLINE)).await?;
        return match status.as_u16() {
            200..400 => Ok(()),
            code => Err(format!("HTTP lifecycle hook failed: status {code}")),
        };
    }
    if let Some(pause) = &hook.sleep {
        let seconds = u64::try_from(pause.seconds).unwrap_or(0);
        sleep(Duration::from_secs(seconds).min(patience)).await;
        return Ok(());
    }
    // A TCP hook is valid and upstream does nothing for it.
    Ok(())
}
