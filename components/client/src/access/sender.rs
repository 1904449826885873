//! What every request goes through on its way out.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode};
use kube::client::Body;
use tokio::sync::Semaphore;
use tower::{BoxError, Service};

use super::stream::Stream;
use super::transport::Transport;
use crate::credentials::Credential;

/// Sends requests of one client: within the limit of requests at a time, with its credentials, while it may write.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) transport: Transport,
    /// None for what must not wait behind others.
    pub(crate) permits: Option<Arc<Semaphore>>,
    pub(crate) credential: Option<Credential>,
    pub(crate) agent: HeaderValue,
}

impl Service<Request<Body>> for Sender {
    type Response = Response<Stream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Stream>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sender = self.clone();
        Box::pin(async move { sender.send(request).await })
    }
}

impl Sender {
    async fn send(self, mut request: Request<Body>) -> Result<Response<Stream>, BoxError> {
        // Held until the head of the answer: a watch takes no place for as long as it lasts.
        let _permit = match &self.permits {
            Some(permits) => Some(permits.acquire().await?),
            None => None,
        };
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, self.agent.clone());
        if let Some(credential) = &self.credential {
            headers.insert(AUTHORIZATION, credential.header()?);
        }
        let answer = self.transport.send(request).await?;
        if let Some(credential) = &self.credential
            && answer.status() == StatusCode::UNAUTHORIZED
        {
            credential.refused();
        }
        Ok(answer)
    }
}
