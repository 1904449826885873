//! Creates pods, and learns from one watch when they are bound.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};

use super::objects::{self, DEPLOYMENT, NAMESPACE};
use crate::api::fleet::{Fleet, call_once};
use crate::api::http::{self, Content, JSON, Piece};
use crate::api::marks::text_member;
use crate::api::{Stack, TOKEN};
use crate::clock;
use crate::latency::Latency;
use crate::limits::{BOUND_TIMEOUT, EVENT_BYTES_MAX};
use crate::measurement::Errors;
use crate::schedule::Schedule;

/// Connections that create pods in a burst.
pub(crate) const CREATORS: usize = 32;
/// Pods that have a node, told once each: they come into this watch when they get it.
const BOUND: &str =
    "/api/v1/pods?watch=1&allowWatchBookmarks=true&fieldSelector=spec.nodeName%21%3D";
const ADDED: &[u8] = b"{\"type\":\"ADDED\"";

pub(crate) struct Load {
    fleet: Fleet,
    state: State,
    request: Vec<u8>,
}

#[derive(Default)]
struct State {
    busy: Vec<bool>,
    /// The part of a line of the watch that has arrived.
    line: Vec<u8>,
    /// Names of the deployment's pods that were bound, as long as nobody has taken them.
    replicas: Vec<String>,
    created: u64,
    bound: u64,
    last_bound_ns: u64,
    latency: Option<Latency>,
    errors: Errors,
    seen: HashSet<String>,
}

impl State {
    fn piece(&mut self, at: usize, piece: Piece<'_>) {
        match piece {
            Piece::Body(status, data) if at == self.busy.len() => {
                if status != 200 {
                    let text = String::from_utf8_lossy(data);
                    self.errors.add(&format!("the watch: {status} {text}"), 1);
                    return;
                }
                for part in data.split_inclusive(|byte| *byte == b'\n') {
                    self.line.extend_from_slice(part);
                    if part.ends_with(b"\n") {
                        let line = std::mem::take(&mut self.line);
                        self.event(&line);
                    } else if self.line.len() > EVENT_BYTES_MAX {
                        self.errors.add("an event is too long", 1);
                        self.line.clear();
                    }
                }
            }
            Piece::Body(status, data) if status >= 300 => {
                let text: String = String::from_utf8_lossy(data).chars().take(200).collect();
                self.errors.add(&format!("{status}: {text}"), 1);
            }
            Piece::Body(..) => {}
            Piece::End(_) if at == self.busy.len() => self.errors.add("the watch ended", 1),
            Piece::End(status) => {
                self.busy[at] = false;
                self.created += u64::from(status == 201);
            }
        }
    }

    fn event(&mut self, line: &[u8]) {
        if !line.starts_with(ADDED) {
            return;
        }
        let now = clock::now();
        let Some(name) = text_member(line, "name") else {
            return;
        };
        if !self.seen.insert(name.clone()) {
            self.errors.add("a pod was bound twice", 1);
        }
        self.bound += 1;
        self.last_bound_ns = now;
        if let Some(at) = text_member(line, "at").and_then(|at| at.parse::<u64>().ok()) {
            if let Some(latency) = &mut self.latency {
                latency.record(now.saturating_sub(at));
            }
        } else if name.starts_with(DEPLOYMENT) {
            self.replicas.push(name);
        }
    }
}

/// What a series of pods took.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) pods: u64,
    pub(crate) latency: Latency,
    pub(crate) errors: Errors,
}

impl Load {
    /// Connects, and watches from now on. Servers close connections that nobody uses, so there are to be no more than
    /// the work needs.
    ///
    /// # Errors
    /// If the server does not answer.
    pub(crate) fn new(stack: &Stack, creators: usize) -> Result<Self> {
        let mut fleet = Fleet::new()?;
        fleet.connect(&stack.addresses(), creators + 1)?;
        let (status, list) = call_once(
            stack.addresses()[0],
            TOKEN,
            "GET",
            "/api/v1/pods?limit=1",
            Content::NONE,
        )?;
        ensure!(status == 200, "a list answers {status}");
        let revision = text_member(&list, "resourceVersion").context("a list has no revision")?;
        let mut request = Vec::new();
        let path = format!("{BOUND}&resourceVersion={revision}");
        http::request(&mut request, "GET", &path, TOKEN, Content::NONE);
        fleet.send(creators, &request)?;
        let state = State {
            busy: vec![false; creators],
            ..State::default()
        };
        Ok(Self {
            fleet,
            state,
            request,
        })
    }

    /// Creates pods, all as fast as they are taken or so many a second, and waits until all are bound.
    ///
    /// # Errors
    /// If one is refused, or is not bound in time.
    pub(crate) fn create(&mut self, series: &str, pods: u64, rate: Option<u64>) -> Result<Bound> {
        let before = (self.state.created, self.state.bound);
        self.state.latency = Some(Latency::new());
        let mut schedule = rate.map(|rate| Schedule::new(clock::now(), rate));
        let mut next = 0;
        while next < pods {
            while next < pods
                && let Some(at) = self.state.busy.iter().position(|busy| !busy)
                && schedule
                    .as_mut()
                    .is_none_or(|s| s.take(clock::now()).is_some())
            {
                self.post(at, &format!("{series}-{next:07}"))?;
                next += 1;
            }
            let due = clock::now() + 1_000_000;
            self.turn(schedule.as_ref().map_or(due, |s| s.next_due().min(due)))?;
        }
        self.until("all pods are bound", |state| {
            state.created - before.0 == pods && state.bound - before.1 >= pods
        })?;
        Ok(Bound {
            pods,
            latency: self.state.latency.take().unwrap_or_else(Latency::new),
            errors: std::mem::take(&mut self.state.errors),
        })
    }

    /// Makes a deployment, waits until its pods are bound, then deletes them one after another; measured is from the
    /// request to delete one until another one is bound in its place.
    ///
    /// # Errors
    /// If one is not replaced in time.
    pub(crate) fn replace(&mut self, stack: &Stack, replicas: u64, rounds: u64) -> Result<Bound> {
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments");
        let body = objects::deployment(replicas);
        let content = Content {
            accept: JSON,
            media: JSON,
            body: &body,
        };
        let (status, text) = call_once(stack.addresses()[0], TOKEN, "POST", &path, content)?;
        let text = String::from_utf8_lossy(&text);
        ensure!(status == 201, "a deployment is refused: {status} {text}");
        self.until("the deployment's pods are bound", |state| {
            state.replicas.len() as u64 == replicas
        })?;
        let mut latency = Latency::new();
        for round in 0..rounds {
            let victim = self.state.replicas.remove(0);
            let left = self.state.replicas.len();
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{victim}?gracePeriodSeconds=0");
            http::request(&mut self.request, "DELETE", &path, TOKEN, Content::NONE);
            self.state.busy[0] = true;
            let sent = clock::now();
            self.fleet.send(0, &self.request)?;
            self.until(&format!("pod {round} is replaced"), |state| {
                state.replicas.len() > left && !state.busy[0]
            })?;
            latency.record(self.state.last_bound_ns.saturating_sub(sent));
        }
        Ok(Bound {
            pods: rounds,
            latency,
            errors: std::mem::take(&mut self.state.errors),
        })
    }

    fn post(&mut self, at: usize, name: &str) -> Result<()> {
        let body = objects::waiting_pod(name, clock::now());
        let content = Content {
            accept: JSON,
            media: JSON,
            body: &body,
        };
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        http::request(&mut self.request, "POST", &path, TOKEN, content);
        self.state.busy[at] = true;
        self.fleet.send(at, &self.request)
    }

    fn turn(&mut self, until_ns: u64) -> Result<()> {
        let state = &mut self.state;
        self.fleet
            .turn(until_ns, &mut |at, piece| state.piece(at, piece))?;
        ensure!(
            !self.state.errors.too_many(),
            "too many errors: {:?}",
            self.state.errors.by_text
        );
        Ok(())
    }

    /// Waits for as long as something happens.
    fn until(&mut self, what: &str, done: impl Fn(&State) -> bool) -> Result<()> {
        let patience = BOUND_TIMEOUT.as_nanos() as u64;
        let (mut bound, mut since) = (self.state.bound, clock::now());
        while !done(&self.state) {
            if self.state.bound != bound {
                (bound, since) = (self.state.bound, clock::now());
            }
            if clock::now() > since + patience {
                bail!(
                    "not within {BOUND_TIMEOUT:?}: {what} ({} created, {bound} bound; {:?})",
                    self.state.created,
                    self.state.errors.by_text
                );
            }
            self.turn(clock::now() + 1_000_000)?;
        }
        Ok(())
    }
}
