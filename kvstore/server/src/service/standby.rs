//! What clients meet while this member has nothing to serve: its data is being repaired.

use crate::grpc::{Code, Status};
use crate::http::{self, Ask, Page, Pages};
use crate::http2::{Conn, Event};
use crate::metrics::{Counters, Traffic, repairs};
use crate::serve::{Pending, Reply, Role, Service, Thread};
use mainstay_raft::repair::History;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::watch;

/// What all threads say.
#[derive(Debug)]
pub(crate) struct Notice {
    /// Why nothing is served; changes as the repair goes on.
    pub(crate) why: watch::Sender<String>,
    /// What was found and repaired so far.
    pub(crate) history: History,
    pub(crate) counters: Counters,
}

impl Notice {
    /// With counters for one thread.
    pub(crate) fn new(why: String, history: History, counters: Counters) -> Self {
        Self {
            why: watch::Sender::new(why),
            history,
            counters,
        }
    }

    fn status(&self) -> Status {
        let text = format!("etcdserver: unavailable: {}", *self.why.borrow());
        Status::new(Code::Unavailable, text)
    }

    fn page(&self, ask: &Ask) -> Page {
        match ask.path.as_str() {
            "/health" => http::unhealthy("ALARM CORRUPT"),
            // It is alive and at work: restarting it would only delay that.
            "/livez" => http::text(200, "ok\n".to_owned()),
            "/readyz" => {
                let why = self.why.borrow();
                http::text(503, format!("[-]data_corruption failed: {}\n\n", *why))
            }
            "/version" => http::version(false),
            "/metrics" => http::metrics(repairs(&self.history, true)),
            _ => http::not_found(),
        }
    }
}

/// The services of one listener.
pub(crate) struct Standby {
    role: Role,
    notice: Arc<Notice>,
}

impl Service for Standby {
    fn handle(self: &Rc<Self>, conn: &Rc<RefCell<Conn>>, event: Event) -> Option<Pending> {
        match event {
            Event::Call { stream, .. } | Event::Open { stream, .. } => {
                let (notice, reply) = (Arc::clone(&self.notice), Reply::new(conn, stream));
                // Not from within the connection's own turn.
                Some(Box::pin(async move { reply.finish(notice.status()) }))
            }
            Event::Http { stream, head } => {
                let (front, reply) = (Rc::clone(self), Reply::new(conn, stream));
                Some(Box::pin(async move {
                    let target = String::from_utf8_lossy(&head.path);
                    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
                    let ask = Ask {
                        method: head.method,
                        path: path.to_owned(),
                        query: query.to_owned(),
                    };
                    let page = front.page(ask).await;
                    reply.http(page.status, page.headers, page.body);
                }))
            }
            Event::Refused { .. } => None,
        }
    }
}

impl Pages for Standby {
    async fn page(&self, ask: Ask) -> Page {
        match self.role {
            Role::Grpc => http::not_found(),
            _ => self.notice.page(&ask),
        }
    }
}

/// The only thread while nothing is served.
pub(crate) struct StandbyThread(pub(crate) Arc<Notice>);

impl Thread for StandbyThread {
    type Service = Standby;

    fn service(&self, role: Role) -> Rc<Standby> {
        let notice = Arc::clone(&self.0);
        Rc::new(Standby { role, notice })
    }

    fn traffic(&self) -> Rc<Traffic> {
        Traffic::new(&self.0.counters.threads[0])
    }

    async fn background(self: Rc<Self>) {}
}
