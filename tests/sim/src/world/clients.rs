//! Clients: each does one call at a time on some member and tells the oracles what it was answered.

use std::sync::Arc;

use mainstay_raft::{Applied, Error};
use parking_lot::Mutex;

use super::course::World;
use super::ops::{Answer, Making, Op, is_expected, is_unavailable, perform};
use crate::oracle::answers::Began;
use crate::oracle::{Checked, violated};
use crate::trace::say;

/// Results of calls, in the order in which they came.
type Done = Arc<Mutex<Vec<(u64, Result<Answer, Error>)>>>;

#[derive(Debug)]
struct Pending {
    number: u64,
    host: usize,
    process: u64,
    op: Op,
    began_us: u64,
    began: Began,
}

#[derive(Debug)]
struct Client {
    host: usize,
    next_at: u64,
    pending: Option<Pending>,
}

/// All clients.
#[derive(Debug)]
pub(crate) struct Clients {
    clients: Vec<Client>,
    pub(crate) making: Making,
    done: Done,
    next: u64,
    pub(crate) stopped: bool,
}

impl Clients {
    pub(crate) fn new(clients: usize, keys: u64, hosts: usize) -> Self {
        Self {
            clients: (0..clients)
                .map(|n| Client {
                    host: n % hosts,
                    next_at: 0,
                    pending: None,
                })
                .collect(),
            making: Making::new(keys),
            done: Done::default(),
            next: 0,
            stopped: false,
        }
    }

    pub(crate) fn idle(&self) -> bool {
        self.clients.iter().all(|c| c.pending.is_none())
    }
}

impl World {
    /// Lets idle clients call.
    pub(super) fn clients_call(&mut self) {
        if self.clients.stopped {
            return;
        }
        for at in 0..self.clients.clients.len() {
            let client = &self.clients.clients[at];
            if client.pending.is_some() || client.next_at > self.now {
                continue;
            }
            if self.rng.one_in(10) {
                self.clients.clients[at].host = self.rng.index(self.hosts.len());
            }
            self.clients.making.told = self.answers.told.max(1);
            self.clients.making.compacted = self.model.compacted;
            let op = self.clients.making.op(&mut self.rng);
            let pause = self.rng.range(0, self.params.think_us);
            self.clients.clients[at].next_at = self.now + pause;
            let host = self.clients.clients[at].host;
            let pending = self.call(host, op);
            self.clients.clients[at].pending = pending;
        }
    }

    /// Starts a call on a host; `None` if nobody serves there.
    fn call(&mut self, host: usize, op: Op) -> Option<Pending> {
        let process = self.hosts[host].process.as_ref()?;
        let node = process.node.clone()?;
        self.clients.next += 1;
        let number = self.clients.next;
        let done = Arc::clone(&self.clients.done);
        let doing = op.clone();
        process.runtime.spawn(async move {
            let result = perform(&node, doing).await;
            done.lock().push((number, result));
        });
        say!(self.trace, "call {number} at m{host}: {}", brief(&op));
        if let Op::Revoke { id } = &op {
            self.leases.unwanted(*id);
        }
        self.counts.one("calls");
        Some(Pending {
            number,
            host,
            process: process.number,
            op,
            began_us: self.now,
            began: Began {
                told: self.answers.told,
            },
        })
    }

    /// Takes the answers that came, and gives up on calls whose member has ended.
    pub(super) fn clients_answered(&mut self) -> Checked {
        let done = std::mem::take(&mut *self.clients.done.lock());
        for (number, result) in done {
            let found = self
                .clients
                .clients
                .iter_mut()
                .find_map(|client| client.pending.take_if(|pending| pending.number == number));
            let Some(pending) = found else { continue };
            self.answered(&pending, result)?;
        }
        for client in &mut self.clients.clients {
            let lost = |pending: &mut Pending| {
                let process = self.hosts[pending.host].process.as_ref();
                process.is_none_or(|process| process.number != pending.process)
            };
            if let Some(pending) = client.pending.take_if(lost) {
                say!(
                    self.trace,
                    "call {} is lost with m{}",
                    pending.number,
                    pending.host
                );
                self.counts.one("calls_lost");
            }
        }
        Ok(())
    }

    fn answered(&mut self, pending: &Pending, result: Result<Answer, Error>) -> Checked {
        let answer = match result {
            Ok(answer) => answer,
            Err(e) => {
                say!(self.trace, "call {} failed: {e}", pending.number);
                if let (Op::Revoke { .. } | Op::KeepAlive { .. }, Error::LeaseNotFound) =
                    (&pending.op, &e)
                {
                    return self.lease_denied(pending);
                }
                if is_unavailable(&e) {
                    self.counts.one("calls_unavailable");
                    return Ok(());
                }
                if is_expected(&pending.op, &e) {
                    return Ok(());
                }
                violated!("{} was answered with the error: {e}", brief(&pending.op));
            }
        };
        say!(self.trace, "call {} done", pending.number);
        self.counts.one("calls_done");
        let (model, began) = (&self.model, pending.began);
        match (&pending.op, answer) {
            (Op::Put(request), Answer::Applied(Applied::Put(response))) => {
                self.answers.put(model, began, request, &response)
            }
            (Op::Delete(request), Answer::Applied(Applied::DeleteRange(response))) => {
                self.answers.delete(model, began, request, &response)
            }
            (
                Op::Txn(request),
                Answer::Applied(Applied::Txn(response)) | Answer::ReadTxn(response),
            ) => self.answers.txn(model, began, request, &response),
            (Op::Range(request), Answer::Range(response)) => {
                self.answers.range(model, began, request, &response)
            }
            (Op::Compact { .. }, Answer::Applied(Applied::Compact { revision })) => {
                self.counts.one("compactions");
                self.answers.header(model, began, revision)
            }
            (Op::Grant { id, .. }, Answer::Applied(Applied::LeaseGrant { ttl, revision, .. })) => {
                self.clients.making.leases.push(*id);
                self.leases.promised(*id, ttl, pending.began_us);
                self.answers.header(model, began, revision)
            }
            (Op::Revoke { id }, Answer::Applied(Applied::LeaseRevoke { revision })) => {
                self.clients.making.leases.retain(|lease| lease != id);
                self.answers.header(model, began, revision)
            }
            (Op::KeepAlive { .. }, Answer::Ttl(0)) => self.lease_denied(pending),
            (Op::KeepAlive { id }, Answer::Ttl(ttl)) => {
                self.counts.one("renewals");
                self.leases.promised(*id, ttl, pending.began_us);
                Ok(())
            }
            (Op::TimeToLive { .. }, Answer::Ttl(-1)) => self.lease_denied(pending),
            (Op::TimeToLive { .. }, Answer::Ttl(_)) => Ok(()),
            (op, answer) => violated!("{} was answered with {answer:?}", brief(op)),
        }
    }

    fn lease_denied(&mut self, pending: &Pending) -> Checked {
        let (Op::Revoke { id } | Op::KeepAlive { id } | Op::TimeToLive { id }) = pending.op else {
            return Ok(());
        };
        self.clients.making.leases.retain(|lease| *lease != id);
        self.leases.denied(id, pending.began_us, self.now)
    }

    /// A call that must succeed, of the last phase; its number.
    pub(super) fn probe(&mut self, host: usize, op: Op) -> bool {
        let Some(pending) = self.call(host, op) else {
            return false;
        };
        self.clients.clients.push(Client {
            host,
            next_at: u64::MAX,
            pending: Some(pending),
        });
        true
    }
}

/// One line for the trace.
fn brief(op: &Op) -> String {
    match op {
        Op::Put(r) => format!("put {:?} = {:?} lease {}", r.key, value(&r.value), r.lease),
        Op::Delete(r) => format!("delete {:?}..{:?}", r.key, r.range_end),
        Op::Txn(r) => format!("txn {:?}, {} operations", r.compare[0].key, r.success.len()),
        Op::Range(r) => format!(
            "range {:?}..{:?} at {} {}",
            r.key,
            r.range_end,
            r.revision,
            if r.serializable { "serializable" } else { "" }
        ),
        other => format!("{other:?}"),
    }
}

fn value(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(8)]).into_owned()
}
