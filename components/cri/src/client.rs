//! The client.

use std::path::Path;
use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::failure::{CriError, Trouble};
use crate::limits::{ANSWER_BYTES_MAX, CALL_DEADLINE, CONNECT_DEADLINE};
use crate::methods::{Call, Follow};

/// A runtime behind a Unix socket. Connects when it is first used, and again whenever the connection was lost.
#[derive(Clone, Debug)]
pub struct Runtime {
    channel: Channel,
}

impl Runtime {
    /// By endpoint, as `unix:///run/containerd/containerd.sock` or a bare path.
    ///
    /// # Errors
    /// If the endpoint is neither.
    pub fn new(endpoint: &str) -> Result<Self, String> {
        let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
        if !Path::new(path).is_absolute() {
            return Err(format!(
                "{endpoint:?} is no endpoint such as unix:///run/containerd/containerd.sock"
            ));
        }
        let endpoint = Endpoint::from_shared(format!("unix://{path}"))
            .map_err(|error| format!("{endpoint:?}: {error}"))?
            .connect_timeout(CONNECT_DEADLINE);
        Ok(Self {
            channel: endpoint.connect_lazy(),
        })
    }

    /// Asks, and waits up to [`CALL_DEADLINE`].
    ///
    /// # Errors
    /// What the runtime said, or that it could not be asked.
    pub async fn call<C: Call>(&self, request: C) -> Result<C::Answer, CriError> {
        self.call_within(request, CALL_DEADLINE).await
    }

    /// Asks, and waits for a time. The runtime is told the deadline, so that it gives up as well.
    ///
    /// # Errors
    /// What the runtime said, or that it could not be asked.
    pub async fn call_within<C: Call>(
        &self,
        request: C,
        deadline: Duration,
    ) -> Result<C::Answer, CriError> {
        let asked = async {
            let mut grpc = self.ready().await?;
            let mut request = Request::new(request);
            request.set_timeout(deadline);
            let path = PathAndQuery::from_static(C::PATH);
            let codec = ProstCodec::<C, C::Answer>::default();
            grpc.unary(request, path, codec).await
        };
        match timeout(deadline, asked).await {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_) => Err(CriError {
                trouble: Trouble::Timeout,
                message: format!("no answer in {deadline:?}"),
            }),
        }
    }

    /// Asks for a stream.
    ///
    /// # Errors
    /// What the runtime said, or that it could not be asked.
    pub async fn follow<F: Follow>(&self, request: F) -> Result<Streaming<F::Item>, CriError> {
        let mut grpc = self.ready().await?;
        let path = PathAndQuery::from_static(F::PATH);
        let codec = ProstCodec::<F, F::Item>::default();
        let answer = grpc
            .server_streaming(Request::new(request), path, codec)
            .await?;
        Ok(answer.into_inner())
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(words(&error)))?;
        Ok(grpc)
    }
}

/// An error with those that led to it.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn endpoints_are_sockets() {
        for endpoint in ["unix:///run/a.sock", "/run/a.sock"] {
            assert!(Runtime::new(endpoint).is_ok(), "{endpoint}");
        }
        for endpoint in ["", "tcp://127.0.0.1:1", "unix://run/a.sock", "a.sock"] {
            assert!(Runtime::new(endpoint).is_err(), "{endpoint}");
        }
    }

    #[tokio::test]
    async fn a_runtime_that_is_not_there_is_unavailable() {
        let runtime = Runtime::new("/proc/none.sock").expect("it is a path");
        let error = runtime.call(crate::VersionRequest::default()).await;
        let error = error.expect_err("nobody listens");
        assert_eq!(error.trouble, Trouble::Unavailable, "{error}");
    }
}
