//! Which of a container's instances somebody who asks for its log means.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, PodStatus};

/// The runtime's id of the instance whose log is meant, by the pod's status.
///
/// # Errors
/// Why there is no log, in upstream's words.
pub fn choose(
    pod: &str,
    status: &PodStatus,
    container: &str,
    previous: bool,
) -> Result<String, String> {
    let what = format!("container {container:?} in pod {pod:?}");
    let lists = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ];
    let mut all = lists.into_iter().flatten().flatten();
    let Some(status) = all.find(|status| status.name == container) else {
        return Err(format!("{what} is not available"));
    };
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.as_ref();
    let last = last.and_then(|last| last.terminated.as_ref());
    let last_id = last.and_then(id);
    let found = if previous {
        last_id.ok_or_else(|| format!("previous terminated {what} not found"))
    } else if state.running.is_some() {
        Ok(bare(status.container_id.as_deref().unwrap_or_default()))
    } else if let Some(ended) = &state.terminated {
        let own = id(ended).or(last_id);
        own.ok_or_else(|| format!("{what} is terminated"))
    } else if last.is_some() {
        last_id.ok_or_else(|| format!("{what} is terminated"))
    } else if let Some(waiting) = &state.waiting {
        let why = match waiting.reason.as_deref().unwrap_or_default() {
            "ErrImagePull" => "image can't be pulled",
            "ImagePullBackOff" => "trying and failing to pull image",
            reason => reason,
        };
        Err(format!("{what} is waiting to start: {why}"))
    } else {
        Err(format!("{what} is waiting to start - no logs yet"))
    };
    found.map(str::to_owned)
}

fn id(ended: &ContainerStateTerminated) -> Option<&str> {
    let id = bare(ended.container_id.as_deref()?);
    (!id.is_empty()).then_some(id)
}

/// Without the runtime's name before it.
fn bare(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(status: Value, previous: bool) -> Result<String, String> {
        let mut status = status;
        status["name"] = json!("c");
        for (key, value) in [
            ("image", json!("")),
            ("imageID", json!("")),
            ("ready", json!(false)),
            ("restartCount", json!(0)),
        ] {
            status[key] = value;
        }
        let status = json!({"containerStatuses": [status]});
        let status = serde_json::from_value(status).expect("a status");
        choose("p", &status, "c", previous)
    }

    #[test]
    fn instances_are_chosen_as_upstream_does() {
        let ended = |id: &str| json!({"terminated": {"exitCode": 0, "containerID": id}});
        let running = json!({"containerID": "containerd://now", "state": {"running": {}},
            "lastState": ended("containerd://before")});
        assert_eq!(of(running.clone(), false).as_deref(), Ok("now"));
        assert_eq!(of(running, true).as_deref(), Ok("before"));
        let over = json!({"state": ended("containerd://now")});
        assert_eq!(of(over.clone(), false).as_deref(), Ok("now"));
        assert_eq!(
            of(over, true).unwrap_err(),
            "previous terminated container \"c\" in pod \"p\" not found"
        );
        let waits = |reason: &str| json!({"state": {"waiting": {"reason": reason}}});
        for (reason, why) in [
            ("ContainerCreating", "ContainerCreating"),
            ("ErrImagePull", "image can't be pulled"),
            ("ImagePullBackOff", "trying and failing to pull image"),
        ] {
            assert_eq!(
                of(waits(reason), false).unwrap_err(),
                format!("container \"c\" in pod \"p\" is waiting to start: {why}")
            );
        }
        let mut crashes = waits("CrashLoopBackOff");
        crashes["lastState"] = ended("containerd://before");
        assert_eq!(of(crashes, false).as_deref(), Ok("before"));
        assert_eq!(
            of(json!({"state": ended("")}), false).unwrap_err(),
            "container \"c\" in pod \"p\" is terminated"
        );
        assert_eq!(
            choose("p", &PodStatus::default(), "c", false).unwrap_err(),
            "container \"c\" in pod \"p\" is not available"
        );
        assert_eq!(
            of(json!({}), false).unwrap_err(),
            "container \"c\" in pod \"p\" is waiting to start - no logs yet"
        );
    }
}
