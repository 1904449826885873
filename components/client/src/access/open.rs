//! From flags to clients.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::header::HeaderValue;
use kube::client::ConfigExt as _;
use kube::{Client, Config};
use tokio::sync::Semaphore;
use tower::{Layer as _, ServiceBuilder};

use super::figures::Figures;
use super::identity::Identity;
use super::sender::Sender;
use super::servers::Servers;
use super::transport::{Times, Transport, Who};
use crate::credentials::Credential;
use crate::leader::Fence;
use crate::limits::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, CREDENTIALS_LOOK};
use crate::metrics::Metrics;

/// How to reach the apiserver.
#[derive(Clone, Debug, Default)]
pub struct AccessOptions {
    /// Where its address and the own credentials are; none for those of a pod.
    pub kubeconfig: Option<PathBuf>,
    /// Addresses that take the place of that in the kubeconfig, tried in turn.
    pub masters: Vec<Uri>,
    /// A file with a client certificate and its key, in place of those that the kubeconfig has.
    pub certificate: Option<PathBuf>,
    /// The component, as `kube-controller-manager`.
    pub name: String,
    /// Requests at a time of all clients together, not counting streams that have begun.
    pub requests_max: usize,
}

/// Why there is no way to the apiserver.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error("neither --kubeconfig nor --master was given, and this is no pod: {0}")]
    Pod(#[from] kube::config::InClusterError),
    #[error("{0:?} is not the URL of an apiserver")]
    Url(String),
    #[error("a proxy-url in the kubeconfig is not supported")]
    Proxy,
    #[error("connections: {0}")]
    Connections(#[from] kube::Error),
    #[error("{0:?} is not a name for a User-Agent")]
    Name(String),
}

/// The way to the apiserver, under the own identity or that of a service account. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    /// As it was at the start: for all but TLS.
    config: Config,
    identity: Arc<Identity>,
    servers: Arc<Servers>,
    figures: Figures,
    permits: Arc<Semaphore>,
    /// With the own certificate, if there is one.
    own: Transport,
    /// The same behind the fence.
    fenced: Transport,
    /// Without the certificate, which would count for more than a token; behind the fence.
    anonymous: Transport,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("servers", &self.shared.servers)
            .finish_non_exhaustive()
    }
}

const TIMES: Times = Times {
    connect: CONNECT_TIMEOUT,
    head: ANSWER_TIMEOUT,
};

impl Access {
    /// Reads the kubeconfig; connects to nobody yet. Clients that work write only while `fence` is open.
    ///
    /// Certificates, keys and authorities that the kubeconfig names as files are read again when they change
    /// ([`CREDENTIALS_LOOK`]): new connections are made with them, and watches over those of before end and begin anew.
    ///
    /// # Errors
    /// When the kubeconfig or what it names cannot be read, or makes no sense.
    pub async fn open(
        options: &AccessOptions,
        fence: &Fence,
        metrics: &Metrics,
    ) -> Result<Self, AccessError> {
        let identity = Arc::new(Identity::of(options).await?);
        let config = identity.current().config.clone();
        if config.proxy_url.is_some() {
            return Err(AccessError::Proxy);
        }
        let urls = match options.masters.as_slice() {
            [] => std::slice::from_ref(&config.cluster_url),
            masters => masters,
        };
        let servers = Arc::new(Servers::new(urls).map_err(AccessError::Url)?);
        let figures = Figures::new(metrics);
        let transport = |who: Who, fence: Option<Fence>| {
            let identity = Arc::clone(&identity);
            Transport::new(
                identity,
                who,
                Arc::clone(&servers),
                figures.clone(),
                TIMES,
                fence,
            )
        };
        if identity.has_files() {
            let identity = Arc::downgrade(&identity);
            tokio::spawn(Identity::follow(identity, CREDENTIALS_LOOK));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                own: transport(Who::Own, None)?,
                fenced: transport(Who::Own, Some(fence.clone()))?,
                anonymous: transport(Who::Anonymous, Some(fence.clone()))?,
                name: options.name.clone(),
                permits: Arc::new(Semaphore::new(options.requests_max.max(1))),
                config,
                identity,
                servers,
                figures,
            }),
        })
    }

    /// Reads files with credentials again now, if they have changed: for who has just changed them.
    pub async fn look(&self) {
        if let Err(error) = self.shared.identity.look().await {
            tracing::warn!("changed credentials cannot be used: {error}");
        }
    }

    /// A client under the own identity that may write at any time: for what need not be elected.
    ///
    /// # Errors
    /// When the kubeconfig's credentials cannot be used.
    pub fn own(&self) -> Result<Client, AccessError> {
        self.identified(self.sender(self.shared.own.clone(), &self.shared.name)?)
    }

    /// A client under the own identity, for work: behind the fence.
    ///
    /// # Errors
    /// As [`Access::own`].
    pub fn fenced(&self) -> Result<Client, AccessError> {
        self.identified(self.sender(self.shared.fenced.clone(), &self.shared.name)?)
    }

    /// A client under the own identity for renewing a lease: its requests wait for no others, and are given up
    /// after `patience` at each apiserver.
    ///
    /// # Errors
    /// As [`Access::own`].
    pub fn for_leases(&self, patience: Duration) -> Result<Client, AccessError> {
        let Shared {
            identity,
            servers,
            figures,
            ..
        } = &*self.shared;
        let times = Times {
            connect: patience,
            head: patience,
        };
        // Connections of its own: none that another request has to find silent first.
        let transport = Transport::new(
            Arc::clone(identity),
            Who::Own,
            Arc::clone(servers),
            figures.clone(),
            times,
            None,
        )?;
        let mut sender =
            self.sender(transport, &format!("{}/leader-election", self.shared.name))?;
        sender.permits = None;
        self.identified(sender)
    }

    /// A client with the credentials of a service account, called `agent` in its requests; behind the fence.
    ///
    /// # Errors
    /// When `agent` is no name.
    pub fn client_as(&self, credential: &Credential, agent: &str) -> Result<Client, AccessError> {
        let mut sender = self.sender(self.shared.anonymous.clone(), agent)?;
        sender.credential = Some(credential.clone());
        Ok(Client::new(
            sender,
            self.shared.config.default_namespace.clone(),
        ))
    }

    fn sender(&self, transport: Transport, agent: &str) -> Result<Sender, AccessError> {
        let text = format!("{agent}/v{} mainstay", env!("CARGO_PKG_VERSION"));
        let agent = HeaderValue::from_str(&text).map_err(|_| AccessError::Name(text))?;
        Ok(Sender {
            transport,
            permits: Some(Arc::clone(&self.shared.permits)),
            credential: None,
            agent,
        })
    }

    /// With what the kubeconfig says about who asks, but for certificates.
    fn identified(&self, sender: Sender) -> Result<Client, AccessError> {
        let config = &self.shared.config;
        let sender = config.extra_headers_layer()?.layer(sender);
        let service = ServiceBuilder::new()
            .option_layer(config.auth_layer()?)
            .service(sender);
        Ok(Client::new(service, config.default_namespace.clone()))
    }
}
