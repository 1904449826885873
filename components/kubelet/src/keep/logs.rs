//! Logs of containers are rotated: the runtime writes on into a new file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mainstay_cri::{
    ContainerFilter, ContainerState, ContainerStateValue, ContainerStatusRequest, CriError,
    ListContainersRequest, ReopenContainerLogRequest, Runtime,
};

/// How much of a container's log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes of a file before the next one is begun.
    pub size: u64,
    /// Files, with the one that is written.
    pub files: usize,
}

/// Looks at the logs of all that runs.
///
/// # Errors
/// If the runtime does not say what runs.
pub async fn rotate_logs(runtime: &Runtime, limits: LogLimits) -> Result<(), CriError> {
    let running = ListContainersRequest {
        filter: Some(ContainerFilter {
            state: Some(ContainerStateValue {
                state: ContainerState::Running as i32,
            }),
            ..ContainerFilter::default()
        }),
    };
    for container in runtime.call(running).await?.containers {
        let request = ContainerStatusRequest {
            container_id: container.id.clone(),
            verbose: false,
        };
        let status = match runtime.call(request).await {
            Ok(answer) => answer.status,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        let path = PathBuf::from(status.map(|status| status.log_path).unwrap_or_default());
        if let Err(error) = rotate(runtime, &container.id, &path, limits).await {
            tracing::warn!("rotating {}: {error}", path.display());
        }
    }
    Ok(())
}

async fn rotate(runtime: &Runtime, id: &str, path: &Path, limits: LogLimits) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    let Ok(metadata) = fs::symlink_metadata(path) else {
        // There is none, or the runtime is about to make it.
        return Ok(());
    };
    if !metadata.is_file() || metadata.len() < limits.size {
        return Ok(());
    }
    // One becomes the newest of the rotated ones.
    forget_old(path, limits.files.saturating_sub(2)).map_err(words)?;
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let rotated = PathBuf::from(format!("{}.{now}", path.display()));
    if rotated.exists() {
        return Ok(());
    }
    fs::rename(path, &rotated).map_err(words)?;
    let request = ReopenContainerLogRequest {
        container_id: id.to_owned(),
    };
    if let Err(error) = runtime.call(request).await {
        // Else what is written meanwhile would go to a file that counts as over.
        fs::rename(&rotated, path).map_err(words)?;
        return Err(error.message);
    }
    Ok(())
}

/// Removes the log of a container that is gone, with what was rotated of it.
pub(super) fn remove_log(path: &Path) {
    let all = rotated(path).unwrap_or_default().into_iter();
    for file in all.chain([path.to_owned()]) {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("{}: {error}", file.display());
            }
            _ => {}
        }
    }
}

/// Removes rotated files but the newest ones.
fn forget_old(path: &Path, kept: usize) -> io::Result<()> {
    let mut rotated = rotated(path)?;
    rotated.sort();
    let surplus = rotated.len().saturating_sub(kept);
    rotated.iter().take(surplus).try_for_each(fs::remove_file)
}

fn rotated(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let mut start = name.as_encoded_bytes().to_vec();
    start.push(b'.');
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(&start) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_rotated_files_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("0.log");
        for name in [
            "0.log",
            "0.log.20260101-000000",
            "0.log.20260102-000000",
            "0.log.20260103-000000",
            "1.log.x",
        ] {
            fs::write(folder.path().join(name), name).expect("written");
        }
        forget_old(&log, 2).expect("removed");
        let mut left = rotated(&log).expect("read");
        left.sort();
        let names: Vec<_> = left
            .iter()
            .filter_map(|path| path.extension()?.to_str())
            .collect();
        assert_eq!(names, ["20260102-000000", "20260103-000000"]);
        assert!(log.exists() && folder.path().join("1.log.x").exists());
        remove_log(&log);
        assert!(!log.exists() && rotated(&log).expect("read").is_empty());
        assert!(folder.path().join("1.log.x").exists());
    }

    #[tokio::test]
    async fn a_log_whose_runtime_does_not_follow_stays_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("0.log");
        fs::write(&log, "long").expect("written");
        let runtime = Runtime::new("/run/none.sock").expect("a path");
        let limits = LogLimits { size: 2, files: 5 };
        assert!(rotate(&runtime, "id", &log, limits).await.is_err());
        assert_eq!(fs::read_to_string(&log).expect("it is there"), "long");
        assert!(rotated(&log).expect("read").is_empty());
    }
}
