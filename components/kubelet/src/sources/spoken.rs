//! Who has said what pods it wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Until all have spoken nothing that runs counts as unwanted. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Spoken {
    api: Arc<AtomicBool>,
    files: Arc<AtomicBool>,
}

impl Spoken {
    /// `files`: whether there is a folder of static pods to wait for.
    pub fn new(files: bool) -> Self {
        let spoken = Self::default();
        spoken.files.store(!files, Ordering::Release);
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

    pub fn all(&self) -> bool {
        self.api.load(Ordering::Acquire) && self.files.load(Ordering::Acquire)
    }
}
