//! Kubelets as this server reaches them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::trust::{Contents, Files};
use crate::proxy::{Backend, Dialer};
use crate::tls::{TlsError, follow_files};

/// How kubelets are reached. The files are read again when they change; connections that are kept end then.
pub(crate) struct Kubelets {
    files: Files,
    /// Types of addresses, the best first.
    pub(crate) preferred: Vec<String>,
    /// Of nodes that tell none.
    pub(crate) port: u16,
    patience: Duration,
    current: ArcSwap<Current>,
}

struct Current {
    contents: Contents,
    verified: Backend,
    unverified: Backend,
}

impl Kubelets {
    pub(crate) fn load(
        files: Files,
        preferred: Vec<String>,
        port: u16,
        patience: Duration,
    ) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let current = Current::new(&files, contents, patience)?;
        Ok(Self {
            files,
            preferred,
            port,
            patience,
            current: ArcSwap::from_pointee(current),
        })
    }

    /// The way to kubelets; `insecure` believes every certificate.
    pub(crate) fn backend(&self, insecure: bool) -> Backend {
        let current = self.current.load();
        match insecure {
            true => current.unverified.clone(),
            false => current.verified.clone(),
        }
    }

    /// Reads the files again now and then, until the server ends.
    pub(crate) async fn follow(self: Arc<Self>, ending: watch::Receiver<bool>) {
        follow_files("certificates for kubelets", move || self.reload(), ending).await;
    }

    /// Whether anything has changed.
    fn reload(&self) -> Result<bool, TlsError> {
        let contents = self.files.read()?;
        if contents == self.current.load().contents {
            return Ok(false);
        }
        let new = Current::new(&self.files, contents, self.patience)?;
        self.current.store(Arc::new(new));
        Ok(true)
    }
}

impl Current {
    fn new(files: &Files, contents: Contents, patience: Duration) -> Result<Self, TlsError> {
        let backend = |insecure| {
            let tls = files.config(&contents, insecure)?;
            Ok::<_, TlsError>(Backend::new(Dialer::new(tls, patience)))
        };
        Ok(Self {
            verified: backend(false)?,
            unverified: backend(true)?,
            contents,
        })
    }
}
