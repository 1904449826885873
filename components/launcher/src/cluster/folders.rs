//! Where the files of a cluster lie.

use std::path::{Path, PathBuf};

/// The run folder and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folders {
    root: PathBuf,
}

impl Folders {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// Authorities and what is signed by them. Hosts have copies of what they need.
    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.root.join("admin.kubeconfig")
    }

    /// For a shell to read: what etcdctl must know.
    pub(crate) fn store_access(&self) -> PathBuf {
        self.root.join("etcdctl.env")
    }

    /// Image tarballs that every worker loads when it starts.
    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn hosts(&self) -> PathBuf {
        self.root.join("hosts")
    }

    pub(crate) fn host(&self, name: &str) -> PathBuf {
        self.hosts().join(name)
    }

    /// What is `/` for the processes of a host.
    pub(crate) fn disk(&self, name: &str) -> PathBuf {
        self.host(name).join("disk")
    }

    /// For what runs on the machine itself.
    pub(crate) fn machine(&self) -> PathBuf {
        self.root.join("machine")
    }
}
