//! Static pods: what lies in a folder of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::{MissedTickBehavior, interval};

use super::manifest::pod_of;
use crate::limits::{STATIC_FILE_BYTES_MAX, STATIC_FILES_MAX, STATIC_INTERVAL};
use crate::sources::{Mirrors, Spoken};
use crate::worker::Pods;

/// What is known of the folder.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    node: String,
    known: BTreeMap<PathBuf, Known>,
}

#[derive(Debug)]
struct Known {
    /// When the file was changed, and its length.
    version: (Option<SystemTime>, u64),
    pod: Option<Arc<Pod>>,
}

/// What has changed in the folder.
#[derive(Debug, Default)]
pub struct Changes {
    pub there: Vec<Arc<Pod>>,
    pub gone: Vec<String>,
}

impl Files {
    pub fn new(folder: &Path, node: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            node: node.to_owned(),
            known: BTreeMap::new(),
        }
    }

    /// All pods as they were last seen.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.known
            .values()
            .filter_map(|known| known.pod.clone())
            .collect()
    }

    /// Looks. A file that cannot be read is as it was; a file that describes no pod has none.
    pub fn look(&mut self) -> std::io::Result<Changes> {
        let mut changes = Changes::default();
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)?.take(STATIC_FILES_MAX) {
            let path = entry?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            if metadata.is_file() && !hidden && metadata.len() <= STATIC_FILE_BYTES_MAX {
                found.insert(path, (metadata.modified().ok(), metadata.len()));
            }
        }
        let gone: Vec<PathBuf> = self
            .known
            .keys()
            .filter(|path| !found.contains_key(*path))
            .cloned()
            .collect();
        for path in gone {
            if let Some(pod) = self.known.remove(&path).and_then(|known| known.pod) {
                changes.gone.extend(pod.metadata.uid.clone());
            }
        }
        for (path, version) in found {
            if self
                .known
                .get(&path)
                .is_some_and(|known| known.version == version)
            {
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let pod = pod_of(&text, &path, &self.node, Timestamp::now());
            let pod = pod.map(Arc::new).map_err(|error| {
                tracing::warn!("{}: {error}", path.display());
            });
            let known = Known {
                version,
                pod: pod.ok(),
            };
            let uid = |known: &Known| known.pod.as_ref().and_then(|pod| pod.metadata.uid.clone());
            let (new, there) = (uid(&known), known.pod.clone());
            let before = self
                .known
                .insert(path, known)
                .and_then(|before| uid(&before));
            if before != new {
                changes.gone.extend(before);
                changes.there.extend(there);
            }
        }
        Ok(changes)
    }
}

/// Hands on what is in the folder, until it is dropped. It is looked at at least this often.
pub async fn follow_files(
    mut files: Files,
    every: Duration,
    pods: Pods,
    mirrors: Mirrors,
    spoken: Spoken,
) {
    let mut ticks = interval(every.min(STATIC_INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Ok(changes) = files.look() else {
            // A folder that cannot be read says nothing about its pods.
            continue;
        };
        if changes.there.is_empty() && changes.gone.is_empty() {
            spoken.files();
            continue;
        }
        for uid in &changes.gone {
            pods.remove(uid);
        }
        for pod in changes.there {
            pods.set(pod);
        }
        mirrors.set_files(files.pods());
        spoken.files();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.yaml");
        let pod = |image: &str| {
            format!("metadata: {{name: a}}\nspec: {{containers: [{{name: a, image: {image}}}]}}")
        };
        let mut files = Files::new(folder.path(), "n");
        let mut look = || {
            let changes = files.look().expect("it is there");
            (changes.there.len(), changes.gone.len())
        };
        assert_eq!(look(), (0, 0));
        fs::write(&file, pod("b")).expect("written");
        fs::write(folder.path().join(".hidden"), pod("b")).expect("written");
        assert_eq!(look(), (1, 0));
        assert_eq!(look(), (0, 0));
        fs::write(&file, pod("longer")).expect("written");
        assert_eq!(look(), (1, 1));
        fs::write(&file, "no pod").expect("written");
        assert_eq!(look(), (0, 1));
        fs::write(&file, pod("b")).expect("written");
        assert_eq!(look(), (1, 0));
        fs::remove_file(&file).expect("removed");
        assert_eq!(look(), (0, 1));
    }
}
