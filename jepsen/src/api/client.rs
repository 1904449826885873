//! A client: requests of one task, one after the other, each recorded; nothing is tried again.

use super::http::{Conn, Identity, Trouble};
use super::journal::Journal;
use super::kind::Kind;
use super::object;
use crate::client::Load;
use crate::limits::PAUSE_AFTER_FAILURE;
use bytes::Bytes;
use http_body_util::Full;
use mainstay_check::api::{ApiRecord, Ask, Call, Listed, Selection, Verb};
use mainstay_check::history::Outcome;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What all clients share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) journal: Journal,
    pub(super) load: Load,
    pub(super) identity: Identity,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) deadline: Duration,
    pub(super) seed: u64,
    /// The greatest version anybody was told.
    pub(super) newest: AtomicI64,
    numbers: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        journal: Journal,
        load: Load,
        identity: Identity,
        addresses: Vec<SocketAddr>,
        deadline: Duration,
        seed: u64,
    ) -> Self {
        Self {
            journal,
            load,
            identity,
            addresses,
            deadline,
            seed,
            newest: AtomicI64::new(1),
            numbers: AtomicU64::new(1),
        }
    }

    /// A number that nothing else in the run has.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// One request about an object.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) verb: Verb,
    pub(super) kind: Kind,
    pub(super) namespace: String,
    /// Empty if the server is to choose it.
    pub(super) name: String,
    pub(super) subresource: &'static str,
    pub(super) query: String,
    pub(super) body: Option<Value>,
    pub(super) media: &'static str,
    pub(super) named: Option<i64>,
    pub(super) uid: Option<String>,
    pub(super) token: Option<String>,
    pub(super) ask: Ask,
    /// A deletion by an update that takes the last finalizer away.
    pub(super) puts: bool,
}

impl Request {
    pub(super) fn new(verb: Verb, kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            verb,
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: "",
            query: String::new(),
            body: None,
            media: "application/json",
            named: None,
            uid: None,
            token: None,
            ask: Ask::Consistent,
            puts: false,
        }
    }

    /// The same with an object, and what it says about itself.
    pub(super) fn with(mut self, object: Value) -> Self {
        self.token = token_of(&object);
        self.body = Some(object);
        self
    }

    fn method(&self) -> http::Method {
        match self.verb {
            Verb::Create => http::Method::POST,
            Verb::Delete if self.puts => http::Method::PUT,
            Verb::Update | Verb::Status => http::Method::PUT,
            Verb::Patch => http::Method::PATCH,
            Verb::Delete => http::Method::DELETE,
            Verb::Get | Verb::List => http::Method::GET,
        }
    }

    fn path(&self) -> String {
        let mut path = match self.verb {
            Verb::Create => self.kind.collection(&self.namespace),
            _ => self.kind.path(&self.namespace, &self.name),
        };
        if !self.subresource.is_empty() {
            path.push('/');
            path.push_str(self.subresource);
        }
        match self.query.is_empty() {
            true => path,
            false => format!("{path}?{}", self.query),
        }
    }
}

fn token_of(object: &Value) -> Option<String> {
    let token = &object["metadata"]["annotations"][object::TOKEN];
    token.as_str().map(str::to_owned)
}

/// What came of a request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Ok(Value),
    /// Certainly without effect.
    Fail,
    Unknown,
}

impl Reply {
    pub(super) fn ok(self) -> Option<Value> {
        match self {
            Self::Ok(value) => Some(value),
            _ => None,
        }
    }
}

/// One task's client, with a connection to each server it talks to.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u32,
    pub(super) rng: StdRng,
    /// The server it prefers.
    pub(super) home: usize,
    conns: Vec<Option<Conn>>,
    last: Instant,
}

impl Client {
    pub(super) fn new(shared: &Arc<Shared>, slot: usize) -> Self {
        let servers = shared.addresses.len();
        Self {
            rng: StdRng::seed_from_u64(shared.seed.wrapping_mul(1_000_003) ^ slot as u64),
            number: u32::try_from(slot).expect("there are few clients"),
            home: slot % servers,
            conns: (0..servers).map(|_| None).collect(),
            shared: shared.clone(),
            last: Instant::now(),
        }
    }

    /// Waits for its turn; `false` when the load has ended.
    pub(super) async fn turn(&mut self) -> bool {
        let load = self.shared.load.clone();
        load.turn(&mut self.last, &mut self.rng).await
    }

    /// A token that no other write has.
    pub(super) fn token(&self) -> String {
        format!("t-{}", self.shared.number())
    }

    /// Mostly its own server: what matters is what clients see that change.
    pub(super) fn server(&mut self) -> usize {
        match self.rng.random_bool(0.75) {
            true => self.home,
            false => self.rng.random_range(0..self.conns.len()),
        }
    }

    /// A connection to a server, opened if there is none.
    pub(super) async fn conn(&mut self, server: usize) -> Result<&mut Conn, Trouble> {
        if self.conns[server].as_ref().is_none_or(Conn::is_closed) {
            let address = self.shared.addresses[server];
            let id = self.shared.number();
            let conn = Conn::open(address, &self.shared.identity, id).await?;
            self.conns[server] = Some(conn);
        }
        Ok(self.conns[server].as_mut().expect("just opened"))
    }

    /// Drops a connection on which something went wrong: the next request shall not suffer for it.
    pub(super) fn forget(&mut self, server: usize) {
        self.conns[server] = None;
    }

    /// Carries out a request at its own choice of server.
    pub(super) async fn perform(&mut self, request: Request) -> Reply {
        let server = self.server();
        self.perform_at(server, request).await
    }

    /// Carries out a request at one server and records it.
    pub(super) async fn perform_at(&mut self, server: usize, request: Request) -> Reply {
        let deadline = self.shared.deadline;
        let clock = self.shared.journal.clock;
        let body = request.body.as_ref().map(ToString::to_string);
        let sent = http_request(request.method(), &request.path(), body, request.media);
        let (conn, begun, answer) = match self.conn(server).await {
            Err(trouble) => (0, clock.now(), Err(trouble)),
            Ok(conn) => {
                let (id, begun) = (conn.id, clock.now());
                (id, begun, conn.call(sent, deadline).await)
            }
        };
        let returned = clock.now();
        let call = Call {
            id: self.shared.number(),
            client: self.number,
            server: u32::try_from(server).expect("there are few servers"),
            conn,
            verb: request.verb,
            key: match request.name.as_str() {
                "" => String::new(),
                name => request.kind.key(&request.namespace, name),
            },
            ask: request.ask,
            named: request.named,
            uid: request.uid,
            token: request.token,
            call: begun,
            returned: None,
            outcome: Outcome::Unknown,
            status: 0,
            error: String::new(),
            unsent: false,
            seen: None,
        };
        self.settle(server, request.kind, call, answer, returned)
            .await
    }

    async fn settle(
        &mut self,
        server: usize,
        kind: Kind,
        mut call: Call,
        answer: Result<(u16, Bytes), Trouble>,
        returned: u64,
    ) -> Reply {
        let reply = match answer {
            Err(trouble) => {
                let reads = call.verb == Verb::Get;
                call.outcome = match trouble.unsent || reads {
                    true => Outcome::Fail,
                    false => Outcome::Unknown,
                };
                call.returned = Some(returned);
                call.unsent = trouble.unsent;
                self.shared.journal.counts.failure(&trouble.text);
                call.error = trouble.text;
                self.forget(server);
                match call.outcome {
                    Outcome::Fail => Reply::Fail,
                    _ => Reply::Unknown,
                }
            }
            Ok((status, body)) => {
                let value: Value = serde_json::from_slice(&body).unwrap_or_default();
                call.returned = Some(returned);
                call.status = status;
                call.outcome = outcome(call.verb, status);
                if call.outcome == Outcome::Ok {
                    self.take(kind, &mut call, &value);
                } else {
                    let reason = value["reason"].as_str().unwrap_or("no reason");
                    call.error = format!("{reason}: {}", value["message"].as_str().unwrap_or(""));
                    let class = format!("{status} {reason}");
                    self.shared.journal.counts.failure(&class);
                }
                match call.outcome {
                    Outcome::Ok => Reply::Ok(value),
                    Outcome::Fail => Reply::Fail,
                    Outcome::Unknown => Reply::Unknown,
                }
            }
        };
        self.shared.journal.counts.outcome(call.outcome);
        let failed = call.status == 0 || call.status >= 500;
        self.shared.journal.record(ApiRecord::Call(call)).await;
        if failed {
            // A dead server is not hammered.
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
        }
        reply
    }

    fn take(&self, kind: Kind, call: &mut Call, value: &Value) {
        call.seen = object::seen(value);
        if let Some(seen) = &call.seen {
            self.shared
                .newest
                .fetch_max(seen.version, Ordering::Relaxed);
        }
        let metadata = &value["metadata"];
        if call.key.is_empty()
            && let Some(name) = metadata["name"].as_str()
        {
            call.key = kind.key(metadata["namespace"].as_str().unwrap_or_default(), name);
        }
        if call.verb == Verb::Delete && call.uid.is_none() {
            let uid = metadata["uid"]
                .as_str()
                .or(value["details"]["uid"].as_str());
            call.uid = uid.map(str::to_owned);
        }
    }

    /// Lists at one server, page by page, and records it if the first page came.
    pub(super) async fn list(
        &mut self,
        server: usize,
        kind: Kind,
        namespace: &str,
        wanted: &Wanted,
    ) -> Option<Listed> {
        let shared = self.shared.clone();
        let mut listed: Option<Listed> = None;
        let mut token = String::new();
        loop {
            let path = wanted.path(kind, namespace, &token);
            let sent = http_request(http::Method::GET, &path, None, "application/json");
            let (id, begun, answer) = match self.conn(server).await {
                Err(trouble) => (0, 0, Err(trouble)),
                Ok(conn) => {
                    let (id, begun) = (conn.id, shared.journal.clock.now());
                    (id, begun, conn.call(sent, shared.deadline).await)
                }
            };
            let returned = shared.journal.clock.now();
            let page = match answer {
                Ok((200, body)) => serde_json::from_slice::<Value>(&body).unwrap_or_default(),
                Ok((status, _)) => {
                    shared.journal.counts.failure(&format!("list {status}"));
                    break;
                }
                Err(trouble) => {
                    shared.journal.counts.failure(&trouble.text);
                    self.forget(server);
                    break;
                }
            };
            let Some(revision) = object::version(&page) else {
                shared.journal.counts.failure("a list without a version");
                break;
            };
            let list = listed.get_or_insert_with(|| Listed {
                id: shared.number(),
                client: self.number,
                server: u32::try_from(server).expect("there are few servers"),
                conn: id,
                selection: wanted.selection(kind, namespace),
                ask: wanted.ask,
                call: begun,
                returned,
                pages: 0,
                complete: false,
                torn: false,
                revision,
                remaining: page["metadata"]["remainingItemCount"].as_u64(),
                first: 0,
                items: Vec::new(),
            });
            list.pages += 1;
            list.torn |= revision != list.revision;
            let items = page["items"].as_array().into_iter().flatten();
            list.items
                .extend(items.filter_map(|object| object::item(kind, object)));
            if list.pages == 1 {
                list.first = list.items.len() as u64;
            }
            token = page["metadata"]["continue"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            if token.is_empty() {
                list.complete = true;
                break;
            }
        }
        match &listed {
            Some(list) => {
                shared.newest.fetch_max(list.revision, Ordering::Relaxed);
                shared.journal.counts.outcome(Outcome::Ok);
                shared.journal.record(ApiRecord::Listed(list.clone())).await;
            }
            None => {
                shared.journal.counts.outcome(Outcome::Fail);
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
        listed
    }
}

/// What a list or a watch asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) ask: Ask,
    pub(super) limit: Option<u32>,
    pub(super) labels: Vec<(String, bool, Vec<String>)>,
    pub(super) fields: Vec<(String, bool, String)>,
}

impl Wanted {
    pub(super) fn selection(&self, kind: Kind, namespace: &str) -> Selection {
        let prefix = match namespace {
            "" => kind.prefix().to_owned(),
            namespace => format!("{}{namespace}/", kind.prefix()),
        };
        Selection {
            prefix,
            labels: self.labels.clone(),
            fields: self.fields.clone(),
        }
    }

    /// The selectors as a query has them.
    pub(super) fn query(&self) -> form_urlencoded::Serializer<'static, String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(name, among, values)| match among {
                true => format!("{name} in ({})", values.join(",")),
                false => format!("{name} notin ({})", values.join(",")),
            })
            .collect();
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|(name, equal, value)| match equal {
                true => format!("{name}={value}"),
                false => format!("{name}!={value}"),
            })
            .collect();
        if !labels.is_empty() {
            query.append_pair("labelSelector", &labels.join(","));
        }
        if !fields.is_empty() {
            query.append_pair("fieldSelector", &fields.join(","));
        }
        query
    }

    fn path(&self, kind: Kind, namespace: &str, token: &str) -> String {
        let mut query = self.query();
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        if token.is_empty() {
            let (version, matching) = match self.ask {
                Ask::Consistent => (None, None),
                Ask::Any => (Some(0), None),
                Ask::NotOlder(version) => (Some(version), Some("NotOlderThan")),
                Ask::Exact(version) => (Some(version), Some("Exact")),
            };
            if let Some(version) = version {
                query.append_pair("resourceVersion", &version.to_string());
            }
            if let Some(matching) = matching {
                query.append_pair("resourceVersionMatch", matching);
            }
        } else {
            query.append_pair("continue", token);
        }
        format!("{}?{}", kind.collection(namespace), query.finish())
    }
}

/// Which answers say what of a write: 5xx say nothing, but that something is not implemented.
fn outcome(verb: Verb, status: u16) -> Outcome {
    match (verb, status) {
        (_, 200..=299) => Outcome::Ok,
        (Verb::Get | Verb::List, _) | (_, 300..=499 | 501) => Outcome::Fail,
        _ => Outcome::Unknown,
    }
}

/// A request with what every request has.
pub(super) fn http_request(
    method: http::Method,
    path: &str,
    body: Option<String>,
    media: &str,
) -> http::Request<Full<Bytes>> {
    http::Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("accept", "application/json")
        .header("content-type", media)
        .header("user-agent", "mainstay-jepsen")
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .expect("paths are made of names")
}
