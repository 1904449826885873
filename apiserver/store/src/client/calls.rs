//! Calls with a deadline, over several endpoints.

use super::connection::{Connection, Tls};
use super::failure::{Failure, Verdict};
use crate::limits::{CALL_DEADLINE, READ_ATTEMPT_DEADLINE};
use http::uri::PathAndQuery;
use mainstay_apiplanted::{Mistake, makes};
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// Where the store is and how to reach it.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// URLs of the members, `http://` or `https://`.
    pub endpoints: Vec<String>,
    /// Needed for `https://`.
    pub tls: Option<Tls>,
    /// Deadline of one call over all endpoints.
    pub deadline: Duration,
}

impl ClientConfig {
    /// Plain endpoints with the default deadline.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            tls: None,
            deadline: CALL_DEADLINE,
        }
    }

    /// The same with TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }
}

/// How current an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Consistency {
    /// As of a moment after the call began: takes a round among the members.
    #[default]
    Linearizable,
    /// What the asked member happens to know.
    Serializable,
}

/// A client of the store; clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connections: Vec<Connection>,
    /// The endpoint that answered last; calls begin there.
    preferred: AtomicUsize,
    deadline: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// May be repeated at will.
    Read,
    /// Must not be sent twice.
    Write,
}

impl Client {
    /// Connects on first use. Fails for unusable URLs or certificates only. Must be called within a tokio runtime.
    pub fn new(config: &ClientConfig) -> Result<Self, Failure> {
        let connections = config
            .endpoints
            .iter()
            .map(|url| Connection::new(url, config.tls.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if connections.is_empty() {
            return Err(Failure::Refused("no endpoint is configured".into()));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                connections,
                preferred: AtomicUsize::new(0),
                deadline: config.deadline,
            }),
        })
    }

    /// URLs of the members.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.inner.connections.iter().map(|c| c.url.as_str())
    }

    pub(crate) fn connections(&self) -> &[Connection] {
        &self.inner.connections
    }

    /// Index of the endpoint that answered last.
    pub(crate) fn preferred(&self) -> usize {
        self.inner.preferred.load(Ordering::Relaxed)
    }

    /// One call, at one endpoint after the other until one answers.
    pub(crate) async fn call<Q, R>(
        &self,
        effect: Effect,
        path: &'static str,
        message: Q,
    ) -> Result<R, Failure>
    where
        Q: Message + Clone + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let end = Instant::now() + self.inner.deadline;
        let (count, first) = (self.inner.connections.len(), self.preferred());
        let mut last = String::from("no endpoint");
        // Twice round: a member that was just replaced or restarted gets a second chance.
        for attempt in 0..2 * count {
            let index = (first + attempt) % count;
            let connection = &self.inner.connections[index];
            let until = match effect {
                Effect::Read if count > 1 => end.min(Instant::now() + READ_ATTEMPT_DEADLINE),
                _ => end,
            };
            let answer = timeout_at(until, unary(connection, path, message.clone()));
            let verdict = match answer.await {
                Ok(Ok(answer)) => {
                    if attempt > 0 {
                        self.inner.preferred.store(index, Ordering::Relaxed);
                    }
                    return Ok(answer);
                }
                Ok(Err(status)) => Verdict::of(&status),
                Err(_) => Verdict::Lost("no answer within the deadline".into()),
            };
            last = match (verdict, effect) {
                (Verdict::Final(failure), _) => return Err(failure),
                (Verdict::Lost(text), Effect::Write) if !makes(Mistake::RepeatedWrite) => {
                    self.turn_from(index);
                    return Err(Failure::OutcomeUnknown(format!(
                        "{}: {text}",
                        connection.url
                    )));
                }
                (Verdict::Lost(text) | Verdict::NotSent(text), _) => {
                    format!("{}: {text}", connection.url)
                }
            };
            if Instant::now() >= end {
                break;
            }
        }
        Err(Failure::Unavailable(last))
    }

    /// The next call begins at another endpoint.
    pub(crate) fn turn_from(&self, index: usize) {
        let next = (index + 1) % self.inner.connections.len();
        // Nothing to do when another call has already turned elsewhere.
        let _ = self.inner.preferred.compare_exchange(
            index,
            next,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
}

/// One call at one endpoint.
pub(crate) async fn unary<Q, R>(
    connection: &Connection,
    path: &'static str,
    message: Q,
) -> Result<R, Status>
where
    Q: Message + Send + Sync + 'static,
    R: Message + Default + Send + Sync + 'static,
{
    let mut grpc = connection.calls().await?;
    let path = PathAndQuery::from_static(path);
    let codec = ProstCodec::<Q, R>::default();
    let answer = grpc.unary(Request::new(message), path, codec).await?;
    Ok(answer.into_inner())
}
