//! The records of a database that belong to this crate, and opening one.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use mainstay_engine::{Cf, Direction, Engine, Read};
use mainstay_lease::{Lessor, Record};
use mainstay_mvcc::Mvcc;

use crate::alarms::{AlarmCause, Alarms};
use crate::codec::{Reader as Fields, log_id_from, stored_membership_from};
use crate::members::{Attributes, Members, Repairing};
use crate::types::LogId;

pub(crate) const META_APPLIED: &[u8] = b"raft.applied";
pub(crate) const META_MEMBERSHIP: &[u8] = b"raft.membership";
pub(crate) const META_ATTRIBUTES: &[u8] = b"raft.attr.";
pub(crate) const META_REMOVED: &[u8] = b"raft.removed.";
const META_ALARM: &[u8] = b"raft.alarm.";
pub(crate) const META_REPAIRING: &[u8] = b"raft.repairing.";
const LEASE_RECORD: u8 = b'l';

/// What a database says of itself when it is opened.
pub(crate) struct Opened<T> {
    pub(crate) engine: Arc<T>,
    pub(crate) mvcc: Mvcc<T>,
    pub(crate) lessor: Lessor,
    pub(crate) members: Members,
    pub(crate) alarms: Alarms,
    pub(crate) applied: Option<LogId>,
}

impl<T> std::fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

impl<T: Engine> Opened<T> {
    pub(crate) fn new(engine: T, min_ttl: i64) -> io::Result<Self> {
        let engine = Arc::new(engine);
        let mvcc = Mvcc::open(Arc::clone(&engine)).map_err(io::Error::other)?;
        let (applied, members) = read_meta(&*engine)?;
        let mut lessor = Lessor::new(min_ttl);
        lessor.load(read_leases(&*engine)?);
        Ok(Self {
            mvcc,
            lessor,
            members,
            alarms: read_alarms(&*engine)?,
            engine,
            applied,
        })
    }
}

/// The applied log id and the members recorded in a database.
pub(crate) fn read_meta(engine: &impl Read) -> io::Result<(Option<LogId>, Members)> {
    let get = |key| engine.get(Cf::Meta, key).map_err(io::Error::other);
    let applied = match get(META_APPLIED)? {
        None => None,
        Some(b) => {
            Some(log_id_from(&mut Fields::new(b, "applied log id")).map_err(io::Error::other)?)
        }
    };
    let mut members = Members::default();
    if let Some(b) = get(META_MEMBERSHIP)? {
        members.stored =
            stored_membership_from(&mut Fields::new(b, "membership")).map_err(io::Error::other)?;
    }
    for (id, value) in scan_ids(engine, META_ATTRIBUTES)? {
        let attributes = Attributes::decode(value.into()).map_err(io::Error::other)?;
        members.attributes.insert(id, attributes);
    }
    for (id, value) in scan_ids(engine, META_REPAIRING)? {
        let repairing = Repairing::decode(value.into()).map_err(io::Error::other)?;
        members.repairing.insert(id, repairing);
    }
    members.removed = scan_ids(engine, META_REMOVED)?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    Ok((applied, members))
}

/// Records whose key is a prefix and a member id.
fn scan_ids(engine: &impl Read, prefix: &[u8]) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut found = Vec::new();
    let end = [prefix, &[0xff; 9]].concat();
    engine
        .scan(
            Cf::Meta,
            prefix,
            Some(&end),
            Direction::Ascending,
            &mut |key, value| {
                if let Some(id) = key
                    .strip_prefix(prefix)
                    .and_then(|k| <[u8; 8]>::try_from(k).ok())
                {
                    found.push((u64::from_be_bytes(id), value.to_vec()));
                }
                ControlFlow::Continue(())
            },
        )
        .map_err(io::Error::other)?;
    Ok(found)
}

fn read_alarms(engine: &impl Read) -> io::Result<Alarms> {
    let mut alarms = Alarms::default();
    let mut bad = None;
    let end = [META_ALARM, &[0xff; 13]].concat();
    let mut visit = |key: &[u8], value: &[u8]| {
        match alarm_record(key, value) {
            Some((kind, member, cause)) => alarms.insert(kind, member, cause),
            None => bad = Some(key.to_vec()),
        }
        ControlFlow::Continue(())
    };
    engine
        .scan(
            Cf::Meta,
            META_ALARM,
            Some(&end),
            Direction::Ascending,
            &mut visit,
        )
        .map_err(io::Error::other)?;
    match bad {
        None => Ok(alarms),
        Some(key) => Err(io::Error::other(format!("damaged alarm record {key:02x?}"))),
    }
}

fn alarm_record(key: &[u8], value: &[u8]) -> Option<(i32, u64, AlarmCause)> {
    let (kind, member) = key.strip_prefix(META_ALARM)?.split_first_chunk::<4>()?;
    let member = <[u8; 8]>::try_from(member).ok()?;
    let cause = AlarmCause::from_code(*value.first()?)?;
    Some((i32::from_be_bytes(*kind), u64::from_be_bytes(member), cause))
}

pub(crate) fn alarm_key(kind: i32, member: u64) -> Vec<u8> {
    [META_ALARM, &kind.to_be_bytes(), &member.to_be_bytes()].concat()
}

pub(crate) fn id_key(prefix: &[u8], id: u64) -> Vec<u8> {
    [prefix, &id.to_be_bytes()].concat()
}

pub(crate) fn lease_key(id: i64) -> [u8; 9] {
    let mut key = [LEASE_RECORD; 9];
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

fn read_leases(engine: &impl Read) -> io::Result<Vec<(i64, Record)>> {
    let mut leases = Vec::new();
    let mut bad = None;
    engine
        .scan(
            Cf::Lease,
            &[LEASE_RECORD],
            Some(&[LEASE_RECORD + 1]),
            Direction::Ascending,
            &mut |key, value| {
                let id = key.get(1..).and_then(|k| <[u8; 8]>::try_from(k).ok());
                match (id, Record::decode(value)) {
                    (Some(id), Ok(record)) => leases.push((i64::from_be_bytes(id), record)),
                    _ => {
                        bad = Some(key.to_vec());
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            },
        )
        .map_err(io::Error::other)?;
    match bad {
        None => Ok(leases),
        Some(key) => {
            let text = format!("damaged lease record {key:02x?}");
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}
