//! Requests in a closed loop: so many are always unanswered.

use anyhow::{Result, ensure};

use super::bodies;
use super::fleet::Fleet;
use super::http::{self, Content, JSON, Piece};
use super::marks::{Marks, text_member};
use super::stack::{Stack, TOKEN};
use crate::clock;
use crate::latency::Latency;
use crate::limits::{API_CALL_TIMEOUT, HEAD_KEPT_BYTES};
use crate::measurement::{Errors, Measurement};
use crate::usage::Gauge;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Get,
    Status,
    Patch,
    List,
    ListAny,
    Pages,
    ListLabel,
    ListNode,
    ListTable,
    ListMetadata,
    Sync,
}

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
const MERGE: &str = "application/merge-patch+json";

impl Op {
    /// Whether answers are so large that their bytes and the servers' memory are what is measured.
    pub(crate) fn is_list(self) -> bool {
        !matches!(self, Self::Create | Self::Get | Self::Status | Self::Patch)
    }

    /// The list's path without the pages after the first.
    fn list_path(self) -> &'static str {
        match self {
            Self::ListAny => "/api/v1/pods?resourceVersion=0",
            Self::Pages => "/api/v1/pods?limit=500",
            Self::ListLabel => "/api/v1/pods?labelSelector=app%3Dapp-1",
            Self::ListNode => "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1",
            Self::Sync => {
                "/api/v1/pods?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
            }
            _ => "/api/v1/pods",
        }
    }

    fn accept(self) -> &'static str {
        match self {
            Self::ListTable => TABLE,
            Self::ListMetadata => METADATA,
            _ => JSON,
        }
    }
}

/// A series of pods that exist.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    pub(crate) pods: u64,
    pub(crate) nodes: u64,
}

/// One request under way, or none.
#[derive(Debug, Default)]
struct Slot {
    busy: bool,
    sent_ns: u64,
    /// Which of its pods is next, and how often it has been around.
    turn: u64,
    pod: u64,
    /// The beginning of the answer.
    head: Vec<u8>,
    token: Option<String>,
    marks: Marks,
}

/// A closed loop.
struct Loop<'a> {
    op: Op,
    series: Series<'a>,
    slots: Vec<Slot>,
    /// The next pod to create.
    next: u64,
    /// Creations stop here.
    last: u64,
    /// The revisions of pods that are updated with a guard.
    revisions: Vec<String>,
    latency: Latency,
    errors: Errors,
    ops: u64,
    bytes: u64,
    reopen: Vec<usize>,
    request: Vec<u8>,
}

impl<'a> Loop<'a> {
    fn new(op: Op, series: Series<'a>, in_flight: usize) -> Self {
        let mut slots: Vec<Slot> = Vec::new();
        slots.resize_with(in_flight, Slot::default);
        Self {
            op,
            series,
            slots,
            next: 0,
            last: u64::MAX,
            revisions: vec![String::new(); series.pods as usize],
            latency: Latency::new(),
            errors: Errors::default(),
            ops: 0,
            bytes: 0,
            reopen: Vec::new(),
            request: Vec::new(),
        }
    }

    /// Writes the next request of a slot; false if there is none.
    fn compose(&mut self, at: usize) -> bool {
        let (op, series, count) = (self.op, self.series, self.slots.len() as u64);
        let slot = &mut self.slots[at];
        let mine = slot.turn * count + at as u64;
        slot.turn += 1;
        let out = &mut self.request;
        let path = |n: u64, sub: &str| {
            let (space, name) = (bodies::namespace(n), bodies::name(series.name, n));
            format!("/api/v1/namespaces/{space}/pods/{name}{sub}")
        };
        match op {
            Op::Create => {
                if self.next >= self.last {
                    return false;
                }
                let n = self.next;
                self.next += 1;
                let path = format!("/api/v1/namespaces/{}/pods", bodies::namespace(n));
                let body = bodies::pod(series.name, n, series.nodes);
                let content = Content {
                    accept: JSON,
                    media: JSON,
                    body: &body,
                };
                http::request(out, "POST", &path, TOKEN, content);
            }
            Op::Get | Op::Status | Op::Patch => {
                let n = mine % series.pods;
                slot.pod = n;
                let revision = &self.revisions[n as usize];
                if op == Op::Get || (op == Op::Status && revision.is_empty()) {
                    http::request(out, "GET", &path(n, ""), TOKEN, Content::NONE);
                } else if op == Op::Status {
                    let body = bodies::status(series.name, n, revision, slot.turn);
                    let content = Content {
                        accept: JSON,
                        media: JSON,
                        body: &body,
                    };
                    http::request(out, "PUT", &path(n, "/status"), TOKEN, content);
                } else {
                    let body = bodies::stamp(clock::now());
                    let content = Content {
                        accept: JSON,
                        media: MERGE,
                        body: &body,
                    };
                    http::request(out, "PATCH", &path(n, ""), TOKEN, content);
                }
            }
            _ => {
                let mut path = op.list_path().to_owned();
                if let Some(token) = slot.token.take() {
                    path = format!("{path}&continue={token}");
                }
                let accept = op.accept();
                let content = Content {
                    accept,
                    ..Content::NONE
                };
                http::request(out, "GET", &path, TOKEN, content);
            }
        }
        true
    }

    fn begin(&mut self, fleet: &mut Fleet, at: usize) -> Result<()> {
        if self.compose(at) {
            let slot = &mut self.slots[at];
            slot.busy = true;
            slot.head.clear();
            slot.sent_ns = clock::now();
            fleet.send(at, &self.request)?;
        }
        Ok(())
    }

    fn piece(&mut self, at: usize, piece: Piece<'_>) {
        match piece {
            Piece::Body(status, data) => {
                self.bytes += data.len() as u64;
                let slot = &mut self.slots[at];
                let room = HEAD_KEPT_BYTES.saturating_sub(slot.head.len());
                slot.head.extend_from_slice(&data[..room.min(data.len())]);
                if self.op == Op::Sync && status == 200 && slot.marks.initial_end(data) {
                    self.reopen.push(at);
                    self.end(at, 200);
                }
            }
            Piece::End(status) => self.end(at, status),
        }
    }

    fn end(&mut self, at: usize, status: u16) {
        let slot = &mut self.slots[at];
        if !slot.busy {
            return;
        }
        slot.busy = false;
        if !(200..300).contains(&status) {
            let text = String::from_utf8_lossy(&slot.head);
            let text: String = text.chars().take(300).collect();
            self.errors.add(&format!("status {status}: {text}"), 1);
            return;
        }
        self.latency.record(clock::now() - slot.sent_ns);
        self.ops += 1;
        match self.op {
            Op::Status => {
                if let Some(revision) = text_member(&slot.head, "resourceVersion") {
                    self.revisions[slot.pod as usize] = revision;
                }
            }
            Op::Pages => slot.token = text_member(&slot.head, "continue").filter(|t| !t.is_empty()),
            _ => {}
        }
    }

    /// Runs until the time is over and everything is answered.
    fn run(&mut self, fleet: &mut Fleet, end_ns: u64) -> Result<()> {
        let limit = API_CALL_TIMEOUT.as_nanos() as u64;
        loop {
            let more = clock::now() < end_ns && !self.errors.too_many();
            for at in 0..self.slots.len() {
                if more && !self.slots[at].busy {
                    self.begin(fleet, at)?;
                }
            }
            let oldest = self
                .slots
                .iter()
                .filter(|s| s.busy)
                .map(|s| s.sent_ns)
                .min();
            let Some(oldest) = oldest else {
                return Ok(());
            };
            ensure!(
                clock::now() < oldest + limit,
                "no answer within {API_CALL_TIMEOUT:?}"
            );
            fleet.turn(oldest + limit, &mut |at, piece| self.piece(at, piece))?;
            for at in std::mem::take(&mut self.reopen) {
                fleet.reopen(at)?;
                self.slots[at].marks = Marks::default();
            }
        }
    }
}

/// Creates pods `from..to` of a series.
///
/// # Errors
/// If one is refused.
pub(crate) fn fill(stack: &Stack, series: Series<'_>, from: u64, in_flight: usize) -> Result<()> {
    let mut fleet = Fleet::new()?;
    fleet.connect(&stack.addresses(), in_flight)?;
    let mut work = Loop::new(Op::Create, series, in_flight);
    (work.next, work.last) = (from, series.pods);
    work.run(&mut fleet, u64::MAX)?;
    let first = work.errors.by_text.keys().next();
    ensure!(work.errors.total == 0, "pods are refused: {first:?}");
    Ok(())
}

/// How a row is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) warm_up_ns: u64,
    pub(crate) window_ns: u64,
}

/// Runs one row of calls. `created` names pods that do not exist yet.
///
/// # Errors
/// If it could not be completed; refused calls are counted in the measurement instead.
pub(crate) fn run(
    op: Op,
    in_flight: usize,
    stack: &Stack,
    series: Series<'_>,
    times: Times,
) -> Result<Measurement> {
    let mut fleet = Fleet::new()?;
    fleet.connect(&stack.addresses(), in_flight)?;
    let mut work = Loop::new(op, series, in_flight);
    work.run(&mut fleet, clock::now() + times.warm_up_ns)?;
    (work.latency, work.ops, work.bytes) = (Latency::new(), 0, 0);
    let (servers, store) = (stack.apiservers(), stack.store());
    servers.reset_peak();
    let before = (servers.read(), store.read());
    work.run(&mut fleet, clock::now() + times.window_ns)?;
    let used = servers.read().since(&before.0);
    let stored = store.read().since(&before.1);
    let mut all = used;
    all.server_cpu_ns += stored.server_cpu_ns;
    all.server_wait_ns += stored.server_wait_ns;
    let ops = work.ops.max(1) as f64;
    let gauge: &Gauge = &servers;
    let mut m = Measurement::new(work.ops, &work.latency, &all, gauge, work.errors);
    m.extra
        .insert("apiserver_us_per_op", used.server_cpu_ns as f64 / 1e3 / ops);
    m.extra
        .insert("store_us_per_op", stored.server_cpu_ns as f64 / 1e3 / ops);
    m.extra
        .insert("bytes_per_s", work.bytes as f64 / used.seconds.max(1e-9));
    m.extra.insert("bytes_per_op", work.bytes as f64 / ops);
    m.extra.insert(
        "apiserver_ns_per_byte",
        used.server_cpu_ns as f64 / work.bytes.max(1) as f64,
    );
    m.extra.insert("peak_rss_bytes", servers.peak_rss() as f64);
    Ok(m)
}
