//! From bytes to bytes: the cluster's names first, then the cache, then other servers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::cache::{Cache, Half, Kept};
use crate::figures::{Figures, Served, Transport};
use crate::forward::{Forwarder, Permit};
use crate::limits::ALIASES_MAX;
use crate::wire::{Code, Content, Question, Record, Reply, Type, Unfit, read};
use crate::zone::{Found, Index};

/// Answers questions.
#[derive(Debug)]
pub(crate) struct Resolver {
    index: Arc<Index>,
    cache: Cache,
    forwarder: Forwarder,
    figures: Figures,
    spin: AtomicUsize,
}

/// Where a question came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) transport: Transport,
    pub(crate) client: SocketAddr,
}

/// What is done with what came.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Vec<u8>),
    Silence,
    /// Others have to be asked: see [`Resolver::finish`].
    Later(Box<Pending>),
}

/// A question that others have to be asked.
#[derive(Debug)]
pub(crate) struct Pending {
    question: Question,
    origin: Origin,
    begin: Instant,
    asked: usize,
    /// Aliases so far.
    answers: Vec<Record>,
    /// What is asked next, in place of the question's own name.
    next: Question,
    permit: Permit,
}

/// One step on the way to an answer.
enum Step {
    Done(Content, &'static str),
    Ask(Question),
}

impl Resolver {
    pub(crate) fn new(
        index: Arc<Index>,
        cache: Cache,
        forwarder: Forwarder,
        figures: Figures,
    ) -> Self {
        Self {
            index,
            cache,
            forwarder,
            figures,
            spin: AtomicUsize::new(rand::random_range(0..1 << 16)),
        }
    }

    /// Answers what came, if that can be done at once.
    pub(crate) fn answer(&self, bytes: &[u8], origin: Origin) -> Outcome {
        let begin = Instant::now();
        let question = match read(bytes) {
            Ok(question) => question,
            Err(unfit) => return self.unfit(unfit, bytes.len(), origin, begin),
        };
        let mut answers = Vec::new();
        let outcome = match self.step(&question, origin, &mut answers) {
            Step::Done(content, by) => Ok((content, by)),
            Step::Ask(next) => match self.forwarder.permit() {
                Ok(permit) => Err((next, permit)),
                Err(_) => Ok((Content::code(Code::REFUSED), "forward")),
            },
        };
        match outcome {
            Ok((content, by)) => {
                let done = Done {
                    question: &question,
                    origin,
                    begin,
                    asked: bytes.len(),
                };
                Outcome::Answer(self.done(&done, &content, by))
            }
            Err((next, permit)) => Outcome::Later(Box::new(Pending {
                question,
                origin,
                begin,
                asked: bytes.len(),
                answers,
                next,
                permit,
            })),
        }
    }

    /// Asks others, as often as it takes.
    pub(crate) async fn finish(&self, mut pending: Pending) -> Vec<u8> {
        let mut answers = std::mem::take(&mut pending.answers);
        let asked = self.forwarder.ask(&pending.next, &pending.permit).await;
        let now = Instant::now();
        if let Kept::InFull(half) = self.cache.put(&pending.next, &asked, now) {
            self.figures.cache_evicted(half);
        }
        let content = joined(&mut answers, asked);
        let done = Done {
            question: &pending.question,
            origin: pending.origin,
            begin: pending.begin,
            asked: pending.asked,
        };
        self.done(&done, &content, "forward")
    }

    /// How many answers the cache has.
    pub(crate) fn count_cache(&self) {
        for half in [Half::Success, Half::Denial] {
            self.figures.cache_has(half, self.cache.len(half));
        }
    }

    /// Follows aliases within the cluster until there is an answer, or somebody else is to be asked.
    fn step(&self, question: &Question, origin: Origin, answers: &mut Vec<Record>) -> Step {
        let room = match origin.transport {
            // No record of an address is shorter, with its name compressed; one more, so that it shows.
            Transport::Udp => usize::from(question.datagram_max()) / 16 + 1,
            Transport::Tcp => usize::from(u16::MAX) / 16 + 1,
        };
        let spin = self.spin.fetch_add(1, Ordering::Relaxed);
        let mut next = question.clone();
        for _ in 0..ALIASES_MAX {
            let found = self.index.look_up(next.name(), next.kind(), room, spin);
            let Some(found) = found else {
                return self.elsewhere(next, answers);
            };
            let own = |code| Content {
                authoritative: true,
                ..Content::code(code)
            };
            let content = match found {
                Found::Alias(record) => {
                    let target = record.alias();
                    answers.push(record);
                    match target {
                        Some(target) if follows(question.kind()) => {
                            next.query.name = target;
                            continue;
                        }
                        _ => own(Code::NO_ERROR),
                    }
                }
                Found::Records {
                    answers,
                    additionals,
                } => Content {
                    answers,
                    additionals,
                    ..own(Code::NO_ERROR)
                },
                Found::NoData(soa) => Content {
                    authorities: vec![soa],
                    ..own(Code::NO_ERROR)
                },
                Found::NoName(soa) => Content {
                    authorities: vec![soa],
                    ..own(Code::NX_DOMAIN)
                },
                Found::Unknown => Content::code(Code::SERV_FAIL),
            };
            return Step::Done(joined(answers, content), "kubernetes");
        }
        tracing::debug!(name = %question.name(), "aliases go round in circles");
        Step::Done(Content::code(Code::SERV_FAIL), "kubernetes")
    }

    /// A name that is not the cluster's.
    fn elsewhere(&self, next: Question, answers: &mut Vec<Record>) -> Step {
        if self.forwarder.is_own_probe(&next) {
            return Step::Done(Content::code(Code::REFUSED), "loop");
        }
        if self.forwarder.is_empty() {
            // An alias is an answer even where nobody knows what it leads to.
            let code = match answers.is_empty() {
                true => Code::REFUSED,
                false => Code::NO_ERROR,
            };
            return Step::Done(joined(answers, Content::code(code)), "");
        }
        if let Some((half, content)) = self.cache.get(&next, Instant::now()) {
            self.figures.cache_hit(half);
            return Step::Done(joined(answers, content), "cache");
        }
        self.figures.cache_missed();
        Step::Ask(next)
    }

    fn unfit(&self, unfit: Unfit, asked: usize, origin: Origin, begin: Instant) -> Outcome {
        match unfit {
            Unfit::Silence => Outcome::Silence,
            Unfit::Malformed(answer) => {
                let code = Code(answer.get(3).copied().unwrap_or_default().into());
                self.figures.served(&Served {
                    transport: origin.transport,
                    client: origin.client,
                    kind: None,
                    asked,
                    answered: answer.len(),
                    code,
                    by: "",
                    took: begin.elapsed(),
                });
                Outcome::Answer(answer)
            }
            Unfit::Refused(question, code) => {
                let done = Done {
                    question: &question,
                    origin,
                    begin,
                    asked,
                };
                Outcome::Answer(self.done(&done, &Content::code(code), ""))
            }
        }
    }

    fn done(&self, done: &Done<'_>, content: &Content, by: &'static str) -> Vec<u8> {
        let max = match done.origin.transport {
            Transport::Udp => done.question.datagram_max(),
            Transport::Tcp => u16::MAX,
        };
        let reply = Reply::new(done.question, content, max);
        self.figures.served(&Served {
            transport: done.origin.transport,
            client: done.origin.client,
            kind: Some(done.question.kind()),
            asked: done.asked,
            answered: reply.bytes.len(),
            code: reply.code,
            by,
            took: done.begin.elapsed(),
        });
        reply.bytes
    }
}

/// A question that has come to its end.
struct Done<'a> {
    question: &'a Question,
    origin: Origin,
    begin: Instant,
    asked: usize,
}

/// Aliases are an answer by themselves to who asks for them.
fn follows(kind: Type) -> bool {
    !matches!(kind, Type::CNAME | Type::ANY)
}

/// What was found at the end of the aliases that led there.
fn joined(aliases: &mut Vec<Record>, mut content: Content) -> Content {
    if !aliases.is_empty() {
        aliases.append(&mut content.answers);
        content.answers = std::mem::take(aliases);
    }
    content
}
