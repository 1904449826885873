//! Who has said what pods it wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Until all have spoken nothing that runs counts as unwanted. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Spoken {
    api: Arc<AtomicBool>,
    files: Arc<AtomicBool>,
    server: Arc<AtomicBool>,
}

impl Spoken {
    /// Whether there is a folder and a server of static pods to wait for.
    pub fn new(files: bool, server: bool) -> Self {
        let spoken = Self::default();
        spoken.files.store(!files, Ordering::Release);
        spoken.server.store(!server, Ordering::Release);
        spoken
    }

    /// All pods of the apiserver have a task.
    pub fn api(&self) {
        self.api.store(true, Ordering::Release);
    }

    /// All pods of the folder have a task.
    pub fn files(&self) {
        self.files.store(true, Ordering::Release);
    }

    /// All pods of the server have a task.
    pub fn server(&self) {
        self.server.store(true, Ordering::Release);
    }

    pub fn all(&self) -> bool {
        let all = [&self.api, &self.files, &self.server];
        all.iter().all(|spoke| spoke.load(Ordering::Acquire))
    }
}
