//! The whole API: its port is taken before anything else begins, and served once everything else is there.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use mainstay_client::metrics::Metrics;
use serde_json::Value;
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::ring::default_provider;

use super::clients::Authorities;
use super::guard::Guard;
use super::health::checks;
use super::listener::{Listener, tls};
use super::options::ServerOptions;
use super::reviews::Reviews;
use super::serve::Api;
use super::stats::Stats;
use super::upgrade::Upgrades;
use crate::certificates::Serving;
use crate::context::Context;
use crate::figures::Figures;
use crate::healthz::Looked;
use crate::worker::Pods;

/// Where the node's own logs are.
const NODE_LOGS: &str = "/var/log";

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("{0}: {1}")]
    Port(SocketAddr, io::Error),
    #[error("--client-ca-file: {0}")]
    Authorities(String),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("cgroups: {0}")]
    Cgroups(io::Error),
}

/// A port that is taken, with what decides about who may ask.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    guard: Guard,
    options: ServerOptions,
}

/// What the API tells of.
pub struct Host {
    pub context: Arc<Context>,
    pub pods: Pods,
    pub looked: Looked,
    pub metrics: Metrics,
    pub figures: Figures,
    /// For `/configz`.
    pub config: Value,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

impl Server {
    /// Takes the port. `client` asks the apiserver who may; `serving` has the certificate, now or later.
    ///
    /// # Errors
    /// If the port cannot be had, or what decides about clients is not there.
    pub async fn bind(
        options: &ServerOptions,
        port: u16,
        node: &str,
        client: Client,
        serving: Arc<Serving>,
    ) -> Result<Self, ServerError> {
        let provider = Arc::new(default_provider());
        let authorities = options.client_ca.as_ref();
        let authorities = authorities.map(|path| Authorities::load(path, &provider));
        let authorities = authorities.transpose().map_err(ServerError::Authorities)?;
        let tls = tls(
            serving,
            &provider,
            authorities.is_some(),
            options.only_tls_13,
        )?;
        let address = SocketAddr::from((options.address, port));
        let listener = Listener::bind(address, tls).await;
        Ok(Self {
            listener: listener.map_err(|error| ServerError::Port(address, error))?,
            guard: Guard {
                authorities,
                reviews: Reviews::new(client, node, options.lives),
                tokens: options.tokens,
                anonymous: options.anonymous,
                always_allow: options.always_allow,
            },
            options: options.clone(),
        })
    }

    /// The port that was taken.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn port(&self) -> io::Result<u16> {
        self.listener.port()
    }

    /// Serves until it is dropped.
    ///
    /// # Errors
    /// If the machine has no cgroups.
    pub async fn run(self, host: Host) -> Result<(), ServerError> {
        let stats = Stats::new(Arc::clone(&host.context), host.pods.clone());
        let stats = stats.map_err(ServerError::Cgroups)?;
        let api = Api {
            guard: self.guard,
            health: checks(&host.looked),
            context: host.context,
            pods: host.pods,
            metrics: host.metrics,
            figures: host.figures,
            stats: stats.clone(),
            upgrades: Upgrades::new(self.options.idle),
            config: host.config,
            debugging: self.options.debugging,
            node_logs: self.options.node_logs.then(|| PathBuf::from(NODE_LOGS)),
        };
        tokio::join!(stats.run(), self.listener.serve(Arc::new(api)));
        Ok(())
    }
}
