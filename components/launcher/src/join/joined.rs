//! What a machine that has joined knows about it, and where it keeps that.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use crate::cluster::id;
use crate::containerd::Places;
use crate::files;

/// Written once the cluster is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Joined {
    /// Where the apiservers are reached.
    pub(super) server: SocketAddrV4,
    /// Of the node.
    pub(crate) name: String,
    pub(super) address: Ipv4Addr,
    pub(super) layout: Layout,
    #[serde(skip)]
    pub(super) root: PathBuf,
}

impl Joined {
    fn place(root: &Path) -> PathBuf {
        root.join("joined.json")
    }

    /// Reads what is there, if this machine has joined.
    pub(crate) fn read(root: &Path) -> Result<Option<Self>> {
        let path = Self::place(root);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| path.display().to_string())?,
        };
        let mut joined: Self =
            serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        root.clone_into(&mut joined.root);
        Ok(Some(joined))
    }

    pub(super) fn write(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("what was joined")?;
        files::write(&Self::place(&self.root), &text, 0o600)
    }

    /// Takes away all files, this one last: until then 'leave' can be repeated.
    pub(super) fn forget(&self) -> Result<()> {
        let folders = ["machine", "etc", "kubelet", "containerd", "logs", "images"];
        let mut folders: Vec<PathBuf> = folders.iter().map(|name| self.root.join(name)).collect();
        folders.push(self.run());
        for folder in folders {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| folder.display().to_string());
                }
                _ => {}
            }
        }
        let path = Self::place(&self.root);
        fs::remove_file(&path).with_context(|| path.display().to_string())
    }

    /// Of the supervisor.
    pub(crate) fn machine(&self) -> PathBuf {
        self.root.join("machine")
    }

    pub(super) fn etc(&self, file: &str) -> PathBuf {
        self.root.join("etc").join(file)
    }

    pub(super) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// The kubelet writes it when it has its certificate.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.etc("kubelet.kubeconfig")
    }

    /// Paths of sockets are short, and what is here ends with the machine.
    pub(super) fn run(&self) -> PathBuf {
        PathBuf::from(format!("/run/mainstay-{}", id(&self.root)))
    }

    pub(super) fn runtime(&self) -> Places {
        Places {
            root: self.root.join("containerd"),
            state: self.run(),
            cni: self.etc("cni"),
            registries: self.etc("registries"),
        }
    }

    /// The group of all pods, at the root of every hierarchy.
    pub(super) fn cgroup(&self) -> String {
        format!("mainstay-{}", id(&self.root))
    }
}
