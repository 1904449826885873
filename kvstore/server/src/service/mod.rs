//! The gRPC services and the HTTP pages, in front of the Raft node.

mod cluster;
mod health;
mod kv;
mod lease;
mod maintenance;
mod probe;
mod range_stream;
mod standby;
mod thread;
mod watch;
mod watch_desk;

pub(crate) use standby::{Notice, StandbyThread};
pub(crate) use thread::{ServiceOptions, Services, Shared, ThreadServices};

use crate::errors;
use crate::grpc::{Code, Status};
use crate::http::{self, Ask, Page, Pages};
use crate::http2::{Conn, Event, Head};
use crate::metrics::ThreadCounters;
use crate::route::{Flow, Route};
use crate::serve::{Duplex, Pending, Reply, Role, Service};
use bytes::Bytes;
use mainstay_proto::etcdserverpb::ResponseHeader;
use prost::Message;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// The services as one listener offers them, on one thread.
pub(crate) struct Front {
    role: Role,
    services: Rc<Services>,
}

impl Front {
    pub(crate) fn new(role: Role, services: &Rc<Services>) -> Rc<Self> {
        Rc::new(Self {
            role,
            services: Rc::clone(services),
        })
    }
}

/// A unary call: what it needs to answer and to be accounted for.
pub(crate) struct Call {
    pub(crate) reply: Reply,
    pub(crate) head: Box<Head>,
    pub(crate) services: Rc<Services>,
    route: Route,
    begun: Instant,
}

impl Call {
    /// Answers with a message.
    pub(crate) fn ok<M: Message>(self, message: &M) {
        self.reply.message(message);
        self.account(Code::Ok);
    }

    /// Answers with an encoded, framed message.
    pub(crate) fn ok_framed(self, framed: Bytes) {
        self.reply.framed(&mut vec![framed]);
        self.reply.finish(Status::OK);
        self.account(Code::Ok);
    }

    /// Ends without a message.
    pub(crate) fn end(self, status: Status) {
        let code = status.code;
        self.reply.finish(status);
        self.account(code);
    }

    pub(crate) fn answer<M: Message>(self, result: Result<M, Status>) {
        match result {
            Ok(message) => self.ok(&message),
            Err(status) => self.end(status),
        }
    }

    /// Goes on as a call with several answers.
    pub(crate) fn stream(self) -> StreamCall {
        let Self {
            reply,
            head,
            services,
            route,
            ..
        } = self;
        StreamCall {
            duplex: reply.duplex(),
            head,
            services,
            route,
        }
    }

    /// Runs `work` within the call's deadline.
    pub(crate) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        match self.head.timeout {
            Some(limit) => tokio::time::timeout(limit, work)
                .await
                .unwrap_or(Err(errors::DEADLINE)),
            None => work.await,
        }
    }

    fn account(&self, code: Code) {
        let services = &self.services;
        services.counters.handled(self.route, code);
        let took = self.begun.elapsed();
        if services.shared.options.extensive_metrics {
            services.counters.handling(self.route, took);
        }
        if took > services.shared.options.slow_request {
            services.shared.note_slow(self.route, took);
        }
    }
}

/// A streaming call.
pub(crate) struct StreamCall {
    pub(crate) duplex: Duplex,
    pub(crate) head: Box<Head>,
    pub(crate) services: Rc<Services>,
    route: Route,
}

impl StreamCall {
    pub(crate) fn end(self, status: Status) {
        self.services.counters.handled(self.route, status.code);
        self.duplex.reply.finish(status);
    }
}

impl Service for Front {
    fn handle(self: &Rc<Self>, conn: &Rc<RefCell<Conn>>, event: Event) -> Option<Pending> {
        match event {
            Event::Call {
                stream,
                head,
                message,
            } => self.call(Reply::new(conn, stream), head, message),
            Event::Open {
                stream,
                head,
                inbox,
            } => self.open(Duplex::new(conn, stream, inbox), head),
            Event::Http { stream, head } => {
                let front = Rc::clone(self);
                let reply = Reply::new(conn, stream);
                Some(Box::pin(async move { front.http(&reply, &head).await }))
            }
            Event::Refused { head, code } => {
                if let Some(route) = head.route {
                    self.services.counters.started(route);
                    self.services.counters.handled(route, code);
                }
                None
            }
        }
    }
}

impl Front {
    fn call(&self, reply: Reply, head: Box<Head>, message: Bytes) -> Option<Pending> {
        let route = head.route?;
        let services = Rc::clone(&self.services);
        services.counters.started(route);
        let call = Call {
            reply,
            head,
            services,
            route,
            begun: Instant::now(),
        };
        if let Err(status) = self.admit(&call.head, route, &message) {
            call.end(status);
            return None;
        }
        match route {
            Route::Range => kv::range(call, message),
            Route::Put => kv::put(call, message),
            Route::Txn => kv::txn(call, message),
            Route::DeleteRange => kv::delete_range(call, message),
            Route::Compact => kv::compact(call, &message),
            Route::RangeStream => range_stream::start(call, &message),
            Route::LeaseGrant => lease::grant(call, &message),
            Route::LeaseRevoke => lease::revoke(call, &message),
            Route::LeaseTimeToLive => lease::time_to_live(call, &message),
            Route::LeaseLeases => lease::leases(call),
            Route::MemberAdd => cluster::add(call, &message),
            Route::MemberRemove => cluster::remove(call, &message),
            Route::MemberUpdate => cluster::update(call, &message),
            Route::MemberPromote => cluster::promote(call, &message),
            Route::MemberList => cluster::list(call, &message),
            Route::Alarm => maintenance::alarm(call, &message),
            Route::Status => maintenance::status(call),
            Route::Defragment => maintenance::defragment(call),
            Route::Hash => maintenance::hash(call),
            Route::HashKv => maintenance::hash_kv(call, &message),
            Route::MoveLeader => maintenance::move_leader(call, &message),
            Route::HealthCheck => health::check(call, &message),
            Route::HealthWatch => health::watch(call, &message),
            // Bidirectional calls never come here; all others are not offered yet.
            _ => {
                let what = format!("{}/{}", route.service(), route.method());
                call.end(errors::unimplemented(&what));
                None
            }
        }
    }

    fn open(&self, duplex: Duplex, head: Box<Head>) -> Option<Pending> {
        let route = head.route?;
        let services = Rc::clone(&self.services);
        services.counters.started(route);
        let call = StreamCall {
            duplex,
            head,
            services,
            route,
        };
        if let Err(status) = self.admit(&call.head, route, &[]) {
            call.end(status);
            return None;
        }
        match route {
            Route::LeaseKeepAlive => Some(Box::pin(lease::keep_alive(call))),
            _ => Some(watch::start(call)),
        }
    }

    /// What every call must pass, in etcd's order.
    fn admit(&self, head: &Head, route: Route, message: &[u8]) -> Result<(), Status> {
        if !matches!(self.role, Role::Everything | Role::Grpc) {
            return Err(Status::new(
                Code::Unimplemented,
                format!("unknown service {}", route.service()),
            ));
        }
        let services = &self.services;
        if services.is_learner() && !for_learners(route, message) {
            return Err(errors::NOT_SUPPORTED_FOR_LEARNER);
        }
        if matches!(route, Route::HealthCheck | Route::HealthWatch) {
            return Ok(());
        }
        let version = match &head.api_version {
            Some(version) => {
                std::str::from_utf8(version).map_err(|_| errors::INVALID_CLIENT_API_VERSION)?
            }
            None => "unknown",
        };
        let kind = if route.flow() == Flow::Unary {
            "unary"
        } else {
            "stream"
        };
        services.count_api(kind, version);
        if head.require_leader && services.shared.node.leader().leader.is_none() {
            return Err(errors::NO_LEADER);
        }
        Ok(())
    }

    async fn http(&self, reply: &Reply, head: &Head) {
        let target = String::from_utf8_lossy(&head.path);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let ask = Ask {
            method: head.method,
            path: path.to_owned(),
            query: query.to_owned(),
        };
        let page = self.page(ask).await;
        reply.http(page.status, page.headers, page.body);
    }
}

impl Pages for Front {
    async fn page(&self, ask: Ask) -> Page {
        let served = match self.role {
            Role::Everything | Role::Http => true,
            Role::Metrics => ask.path != "/version",
            Role::Grpc => false,
        };
        if served {
            http::page(&*self.services, ask).await
        } else {
            http::not_found()
        }
    }
}

/// What a learner may answer.
fn for_learners(route: Route, message: &[u8]) -> bool {
    match route {
        Route::Status | Route::Snapshot | Route::HealthCheck | Route::HealthWatch => true,
        Route::Range => mainstay_proto::etcdserverpb::RangeRequest::decode(message)
            .is_ok_and(|request| request.serializable),
        _ => false,
    }
}

/// Decodes a request.
pub(crate) fn decode<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message).map_err(|error| errors::undecodable(&error))
}

impl Services {
    /// A header with the given revision.
    pub(crate) fn header(&self, revision: i64) -> ResponseHeader {
        let shared = &self.shared;
        ResponseHeader {
            cluster_id: shared.cluster_id,
            member_id: shared.member_id,
            revision,
            raft_term: shared.node.leader().term,
        }
    }

    /// A header with the store's latest revision.
    pub(crate) fn header_now(&self) -> ResponseHeader {
        self.header(self.shared.node.reader().revision())
    }

    fn count_api(&self, kind: &'static str, version: &str) {
        let counters: &Arc<ThreadCounters> = &self.counters;
        counters.api_version(kind, version);
    }
}
