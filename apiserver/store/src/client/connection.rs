//! Connections to one endpoint.

use super::failure::Failure;
use crate::limits::{
    ANSWER_BYTES_MAX, CONNECT_DEADLINE, CONNECTION_WINDOW_BYTES, PING_DEADLINE, PING_INTERVAL,
    REQUEST_BYTES_MAX, STREAM_WINDOW_BYTES,
};
use std::fmt;
use tonic::Status;
use tonic::client::Grpc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// How the store's endpoints are recognised and what this client shows them.
#[derive(Clone)]
pub struct Tls {
    /// PEM of the authorities that sign the store's certificates.
    pub authority: Vec<u8>,
    /// PEM of this client's certificate chain and of its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name to expect in the store's certificates instead of the host of each URL.
    pub server_name: Option<String>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// One endpoint. Calls and watches have a connection each: a flood of events must not stand before a small answer.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) url: String,
    calls: Channel,
    watches: Channel,
}

impl Connection {
    /// Connects when it is first used, and again whenever the connection was lost.
    pub(crate) fn new(url: &str, tls: Option<&Tls>) -> Result<Self, Failure> {
        let refused =
            |error: &dyn fmt::Display| Failure::Refused(format!("endpoint {url}: {error}"));
        let secure = url.starts_with("https://");
        if !secure && !url.starts_with("http://") {
            return Err(refused(&"the URL must begin with http:// or https://"));
        }
        let mut endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|error| refused(&error))?
            .connect_timeout(CONNECT_DEADLINE)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_DEADLINE)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        if secure {
            let tls = tls.ok_or_else(|| refused(&"TLS without a trusted authority"))?;
            endpoint = endpoint
                .tls_config(tls.config())
                .map_err(|error| refused(&error))?;
        }
        // Pings keep a watch from hanging on a dead member; a connection for calls is left alone when idle.
        let watches = endpoint.clone().keep_alive_while_idle(true).connect_lazy();
        Ok(Self {
            url: url.to_owned(),
            calls: endpoint.connect_lazy(),
            watches,
        })
    }

    pub(crate) async fn calls(&self) -> Result<Grpc<Channel>, Status> {
        ready(self.calls.clone()).await
    }

    pub(crate) async fn watches(&self) -> Result<Grpc<Channel>, Status> {
        ready(self.watches.clone()).await
    }
}

impl Tls {
    fn config(&self) -> ClientTlsConfig {
        let mut config =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.authority));
        if let Some((chain, key)) = &self.identity {
            config = config.identity(Identity::from_pem(chain, key));
        }
        if let Some(name) = &self.server_name {
            config = config.domain_name(name);
        }
        config
    }
}

async fn ready(channel: Channel) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(channel)
        .max_decoding_message_size(ANSWER_BYTES_MAX)
        .max_encoding_message_size(REQUEST_BYTES_MAX);
    grpc.ready()
        .await
        .map_err(|error| Status::from_error(Box::new(error)))?;
    Ok(grpc)
}
