//! All other servers together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rand::seq::SliceRandom as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant as Deadline, timeout, timeout_at};

use super::exchange;
use super::policy::Policy;
use super::upstream::Upstream;
use crate::figures::ForwardFigures;
use crate::limits::{FORWARD_TIMEOUT, FORWARDS_MAX, UPSTREAM_TIMEOUT};
use crate::wire::{Code, Content, Message, Question, Type};

/// Asks other servers.
#[derive(Debug)]
pub(crate) struct Forwarder {
    upstreams: Vec<Arc<Upstream>>,
    policy: Policy,
    next: AtomicUsize,
    permits: Arc<Semaphore>,
    figures: Arc<ForwardFigures>,
    _probes: JoinSet<()>,
}

/// To be held while a question is under way.
#[derive(Debug)]
pub(crate) struct Permit(
    #[expect(dead_code, reason = "it counts while it is held")] OwnedSemaphorePermit,
);

/// As many questions are under way as there may be.
#[derive(Debug)]
pub(crate) struct Full;

impl Forwarder {
    /// Must be made within a tokio runtime.
    pub(crate) fn new(servers: &[SocketAddr], policy: Policy, figures: ForwardFigures) -> Self {
        let upstreams: Vec<_> = servers
            .iter()
            .map(|server| Upstream::new(*server))
            .collect();
        let mut probes = JoinSet::new();
        for upstream in &upstreams {
            let upstream = Arc::clone(upstream);
            probes.spawn(async move { upstream.probed().await });
        }
        Self {
            upstreams,
            policy,
            next: AtomicUsize::new(0),
            permits: Arc::new(Semaphore::new(FORWARDS_MAX)),
            figures: Arc::new(figures),
            _probes: probes,
        }
    }

    /// Whether there is nobody to ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.upstreams.is_empty()
    }

    /// Room for one more question under way.
    pub(crate) fn permit(&self) -> Result<Permit, Full> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.map(Permit).map_err(|_| {
            self.figures.rejected();
            Full
        })
    }

    /// Whether a question is one that this server has sent itself, to find out whether it comes back.
    pub(crate) fn is_own_probe(&self, question: &Question) -> bool {
        let mut upstreams = self.upstreams.iter();
        question.kind() == Type::HINFO && upstreams.any(|u| u.hears(question.name()))
    }

    /// Asks one server after another. When none answers, that is a failure of the server.
    pub(crate) async fn ask(&self, question: &Question, _permit: &Permit) -> Content {
        let deadline = Deadline::now() + FORWARD_TIMEOUT;
        for upstream in self.order() {
            let begin = Instant::now();
            let answer = exchange::ask(upstream.address, question);
            let answer = timeout_at(deadline, timeout(UPSTREAM_TIMEOUT, answer)).await;
            let why = match answer {
                Ok(Ok(Ok(message))) => {
                    upstream.answered();
                    let code = message.code.unwrap_or(Code::NO_ERROR);
                    self.figures
                        .answered(upstream.address, code, begin.elapsed());
                    return content(message);
                }
                Ok(Ok(Err(error))) => error.to_string(),
                Ok(Err(_)) | Err(_) => "no answer in time".to_owned(),
            };
            tracing::debug!(server = %upstream.address, "{why}");
            upstream.failed(&self.figures);
            if Deadline::now() >= deadline {
                break;
            }
        }
        Content::code(Code::SERV_FAIL)
    }

    /// Servers in the order in which they are to be asked. If none of them answers checks, the checks may be what is
    /// wrong, and all are asked.
    fn order(&self) -> Vec<&Arc<Upstream>> {
        let usable = self.upstreams.iter().filter(|upstream| !upstream.is_loop());
        let mut order: Vec<_> = usable.collect();
        if order.iter().any(|upstream| !upstream.is_down()) {
            order.retain(|upstream| !upstream.is_down());
        } else if !order.is_empty() {
            self.figures.checks_broken();
        }
        match self.policy {
            Policy::Sequential => {}
            Policy::Random => order.shuffle(&mut rand::rng()),
            Policy::RoundRobin => {
                let next = self.next.fetch_add(1, Ordering::Relaxed);
                let start = next.checked_rem(order.len()).unwrap_or(0);
                order.rotate_left(start);
            }
        }
        order
    }
}

fn content(message: Message) -> Content {
    Content {
        code: message.code.unwrap_or(Code::NO_ERROR),
        authoritative: false,
        authentic: message.flags.authentic,
        answers: message.answers,
        authorities: message.authorities,
        additionals: message.additionals,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarder(policy: Policy) -> Forwarder {
        let servers = ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"];
        let servers = servers.map(|server| server.parse().expect("it is an address"));
        Forwarder {
            upstreams: servers
                .iter()
                .map(|server| Upstream::new(*server))
                .collect(),
            policy,
            next: AtomicUsize::new(0),
            permits: Arc::new(Semaphore::new(1)),
            figures: Arc::default(),
            _probes: JoinSet::new(),
        }
    }

    fn last(forwarder: &Forwarder) -> String {
        let order = forwarder.order();
        let digits: Vec<String> = order.iter().map(|u| u.address.ip().to_string()).collect();
        digits.iter().map(|d| &d[8..]).collect()
    }

    #[test]
    fn servers_are_asked_by_policy() {
        let sequential = forwarder(Policy::Sequential);
        assert_eq!(
            (last(&sequential), last(&sequential)),
            ("123".into(), "123".into())
        );
        let robin = forwarder(Policy::RoundRobin);
        let seen: Vec<_> = (0..4).map(|_| last(&robin)).collect();
        assert_eq!(seen, ["123", "231", "312", "123"]);
        let random = forwarder(Policy::Random);
        let seen: std::collections::HashSet<_> = (0..200).map(|_| last(&random)).collect();
        assert_eq!(seen.len(), 6);
    }

    #[tokio::test]
    async fn servers_that_fail_are_left_out_unless_all_do() {
        let some = forwarder(Policy::Sequential);
        let fail = |number: usize| {
            for _ in 0..2 {
                some.upstreams[number].failed(&some.figures);
            }
        };
        fail(0);
        assert_eq!(last(&some), "23");
        fail(1);
        fail(2);
        assert_eq!(last(&some), "123");
        some.upstreams[1].answered();
        assert_eq!(last(&some), "2");
    }

    #[test]
    fn no_more_questions_are_under_way_than_there_may_be() {
        let one = forwarder(Policy::Random);
        let first = one.permit();
        assert!(first.is_ok() && one.permit().is_err());
        drop(first);
        assert!(one.permit().is_ok());
    }
}
